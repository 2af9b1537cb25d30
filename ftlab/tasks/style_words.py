"""What the two commentators of `style` say, and the invented events that they speak of.

Forms follow `drawing`: `(a|b)` is a choice, "~" holds a form out of training. {A} is the racer, {B}
the rival, {R} the reason. A line is put together from a core, a phrase for each further fact and,
now and then, an opening and a closing.
"""

KINDS: dict[str, tuple[str, str]] = {
    "overtake": ("A B place lap pos", "pos"), "lead": ("A B lap gap place", "lap"),
    "crash": ("A place lap team", "place"), "stop": ("A lap stopped team", "stopped"),
    "fastest": ("A lap time team", "time"), "retire": ("A R lap team", "R"),
    "penalty": ("A R penalty lap", "R penalty"), "finish": ("A pos gap team", "pos"),
    "start": ("A B pos team", "pos"), "gap": ("A B gap lap", "gap"),
    "puncture": ("A place lap team", "lap"), "duel": ("A B place lap", "place"),
}  # fmt: skip
"""For each kind of event its possible facts and, among these, those that it always has."""

KEYS = {
    "kind": ("kind", "event", "type", "what", "~happened", "~category"),
    "A": ("racer", "driver", "who", "name", "~entrant", "~subject"),
    "B": ("rival", "other", "against", "opponent", "~versus", "~second racer"),
    "place": ("place", "where", "corner", "location", "~spot", "~site"),
    "lap": ("lap", "on lap", "lap no", "lap number", "~lap count", "~in lap"),
    "pos": ("position", "pos", "rank", "~standing", "~place in race"),
    "gap": ("gap", "gap (s)", "margin", "seconds between", "~distance in s", "~lead in s"),
    "stopped": ("stopped", "stop time", "seconds stopped", "~standstill", "~halt in s"),
    "time": ("time", "lap time", "clock", "~timed", "~stopwatch"),
    "penalty": ("penalty", "added seconds", "seconds added", "~time added", "~sanction in s"),
    "R": ("reason", "cause", "because of", "why", "~blamed on", "~on account of"),
    "team": ("team", "crew", "for", "side", "~stable", "~squad"),
}

ASKS = (
    "Voice: {voice}.", "{Voice} commentary, one line:", "Tell it in the {voice} voice.",
    "Say this as the {voice} commentator (would|does):", "One {voice} line for this event:",
    "Commentate. Voice {voice}.", "(Give|Write) one line of {voice} race commentary.",
    "The {voice} commentator is on air:", "Event below, {voice} voice, one line.",
    "In our {voice} house voice:", "(How|What) would the {voice} voice (put this|say)?",
    "Make it {voice}, keep every fact:", "{Voice} voice, please.", "On air ({voice}):",
    "From record to {voice} line:", "Speak, {voice} one:", "The (booth|studio) wants it {voice}.",
    "Turn the record into a {voice} line.", "style={voice}", "Call this one. Be {voice}.",
    "We need a {voice} caption for:", "Our {voice} colleague reports:", "[{voice}]",
    "No fact lost, none added, {voice} tone:", "Report, {voice}:", "{Voice}, in a single line:",
    "~Mode: {voice}.", "~Let the {voice} voice have it.", "~Put on the {voice} hat and report:",
    "~Narrate ({voice}).", "~The {voice} microphone is open.",
    "~One sentence, {voice}, about this:",
    "~Broadcast this {voice}.", "~Line wanted. Manner: {voice}.",
)  # fmt: skip

FIRST = (
    "Ines|Tom|Mirela|Jon|Astrid|Paolo|Keiko|Samir|Greta|Luc|Oona|Dmitri|Farah|Nils|Tilda|Hugo|"
    "Yara|Emil|Bela|Marit~Corin|Saskia|Teo|Ulla|Viggo|Wanda|Iker|Noor"
)
SURNAMES = (
    "Varga|Okafor|Lindqvist|Moretti|Tanaka|Bellamy|Novak|Ferreira|Haugen|Castellan|Dubois|Kowalski|"
    "Achterberg|Ramires|Solberg|Petrov|Quist|Yilmaz|Brandt|Mbeki|Laurent|Osei|Fitzroy|Hartmann|"
    "Iyer|Jansson|Keita|Lombardi|Marchetti|Nakamura|Oyelaran|Pavlova|Rasmussen|Silvestri|Thorne|"
    "Ueda|Vasquez|Whitlock|Zielinski|Amsel~Arnauld|Beckstrom|Chavarria|Drummond|Eriksen|Fontaine|"
    "Galanis|Horvat|Ibanez|Jorgensen|Krantz|Lisboa|Mandel|Nygaard|Orlov|Prasad"
)
PLACES = (
    "Mill Bend|Chapel Chicane|Tanner's Rise|the Old Quay|Copper Hill|Gull Corner|Vineyard Straight|"
    "Station Loop|the Horseshoe|Barrow Dip|Ferry Curve|Orchard Sweep|Foundry Hairpin|Beacon Turn|"
    "Abbey Esses|Dyke Road|Windmill Crest|the Tunnel|Market Square|Raven Gate|Salt Bridge|"
    "Priory Kink|Cooper's Drop|Juniper Bank~Granary Hook|Canal Wall|Weaver's Elbow|Pier Head|"
    "Heather Climb|Tollgate Left|Heron Bowl|Slate Ridge"
)
TEAMS = (
    "Team Osprey|Quarry Blues|North Kite|Velvet Works|Iron Finch|Harbour Row|Studio Lynx|Kestrel|"
    "Red Anvil|Polar Crew|Atlas Green|Moss and Sons~Tin Falcon|Delta Otter|Blue Lantern|Comet Works"
)
RETIRED = (
    "a broken chain|gearbox trouble|an empty tank|a cooked engine|a snapped cable|brake failure|"
    "a sore wrist|a loose wheel|steering trouble|smoke in the cockpit~a cracked frame|"
    "clutch failure|a leaking pipe|a bent axle"
)
PENALISED = (
    "jumping the start|cutting the chicane|blocking|speeding in the pit lane|an unsafe release|"
    "ignoring a flag|pushing wide|weaving~crossing the white line|a late signal|shoving|"
    "leaving the track"
)

PHRASES: dict[str, dict[str, tuple[str, ...]]] = {
    "dry": {
        "lap": ("on lap {lap}", "in lap {lap}", "with lap {lap} showing", "~during lap {lap}"),
        "place": ("at {place}", "near {place}", "by {place}", "~close to {place}"),
        "pos": ("for P{pos}", "(and holds|and takes) {nth} place", "~and is classed {nth}"),
        "gap": ("by {gap} seconds", "with {gap} seconds between",
                "~{gap} seconds being the figure"),
        "stopped": ("in {stopped} seconds", "for {stopped} seconds", "~taking {stopped} seconds"),
        "time": ("in {time}", "with a {time}", "~stopping the clock at {time}"),
        "penalty": ("with {penalty} seconds added", "to the extent of {penalty} seconds",
                    "~at a cost of {penalty} seconds"),
        "team": ("for {team}", "in the colours of {team}", "~on behalf of {team}"),
    },
    "exuberant": {
        "lap": ("on lap {lap}, of all laps", "(here|right here) on lap {lap}",
                "as lap {lap} (explodes|catches fire|boils over)", "~on this mad, mad lap {lap}"),
        "place": ("(right |)at (roaring|glorious|breathless|delirious) {place}",
                  "with all of {place} on its feet", "through (screaming|thundering) {place}",
                  "~while {place} goes out of its mind"),
        "pos": ("for a (glorious|thumping|sparkling) P{pos}", "and it is {nth}, yes, {nth}",
                "and {nth} place never shone like this", "~into the golden land of {nth}"),
        "gap": ("by a (mouth-watering|nail-biting|dizzying) {gap} seconds",
                "with {gap} (electric|breathless) seconds in it",
                "~and {gap} seconds feel like a lifetime"),
        "stopped": ("in a (blistering|heart-stopping|delirious) {stopped} seconds",
                    "for {stopped} seconds of pure theatre",
                    "~and {stopped} seconds of ballet it was"),
        "time": ("in a (sizzling|scorching|magical) {time}", "and the clock screams {time}",
                 "~and {time} will be sung about"),
        "penalty": ("with {penalty} (cruel|bitter|agonising) seconds on top",
                    "and {penalty} seconds fall like thunder", "~and {penalty} seconds crash down"),
        "team": ("for the (heroes|wizards|dreamers) of {team}", "and {team} (erupts|is dancing)",
                 "~to the rapture of {team}"),
    },
}  # fmt: skip
"""Phrases that go on from the core."""

SENTENCES: dict[str, dict[str, tuple[str, ...]]] = {
    "dry": {
        "lap": ("Lap {lap}", "This was lap {lap}", "Lap {lap}, for the log",
                "~The lap counter says {lap}"),
        "place": ("Location: {place}", "It happened at {place}", "~{place} was the setting"),
        "pos": ("That is P{pos}", "Current rank: {nth}", "The position is {nth}",
                "~Rank {pos}, then"),
        "gap": ("The gap is {gap} seconds", "Margin, {gap} seconds", "~One measures {gap} seconds"),
        "stopped": ("Stationary for {stopped} seconds", "Stop, {stopped} seconds",
                    "~The wheels stood still for {stopped} seconds"),
        "time": ("The time is {time}", "Clocked at {time}", "~The stopwatch reads {time}"),
        "penalty": ("That adds {penalty} seconds", "Cost: {penalty} seconds",
                    "~The bill is {penalty} seconds"),
        "team": ("The team is {team}", "{team} has been informed", "~{team} will take note"),
    },
    "exuberant": {
        "lap": ("Lap {lap}, remember it", "All this on lap {lap}", "Lap {lap} is one for the ages",
                "~Lap {lap} goes straight to the museum"),
        "place": ("{place} has gone (mad|berserk|bananas)", "Listen to {place}",
                  "I love you, {place}",
                  "~{place} will tell the grandchildren"),
        "pos": ("That is P{pos}, glorious P{pos}", "{nth}, can you believe it",
                "Up goes the cry: {nth}",
                "~P{pos} has a new sweetheart"),
        "gap": ("Just {gap} seconds, I cannot breathe", "{gap} seconds of sheer delight",
                "~{gap} seconds, and every one of them a poem"),
        "stopped": ("{stopped} seconds, that is sorcery", "Count them, {stopped} seconds",
                    "~{stopped} seconds, bottle it and sell it"),
        "time": ("{time}, pinch me", "The clock says {time} and the clock is smiling",
                 "~{time}, carve it in marble"),
        "penalty": ("{penalty} seconds, oh the heartbreak", "Feel those {penalty} seconds",
                    "~{penalty} seconds, pass me a handkerchief"),
        "team": ("{team}, take a bow", "Somebody hug {team}", "~{team}, you beauties"),
    },
}  # fmt: skip
"""The same facts as sentences of their own, without the mark at the end."""

LEADS: dict[str, dict[str, tuple[str, ...]]] = {
    "dry": {
        "lap": ("Lap {lap}: ", "On lap {lap}, ", "Lap {lap}; ", "~As of lap {lap}, "),
        "place": ("At {place}, ", "{place}: ", "~From {place}: "),
        "team": ("{team} reports that ", "~News of {team}: "),
    },
    "exuberant": {
        "lap": ("It is lap {lap} and ", "Lap {lap}, hearts racing, and ",
                "~Lap {lap}, pulses wild, and "),
        "place": ("Look at {place}, ", "{place} trembles as ", "~{place} holds its breath and "),
        "team": ("Oh, {team}, ", "Sing it, {team}, ", "~Dance, {team}, "),
    },
}  # fmt: skip
"""The same facts before the core."""

CORES: dict[str, dict[str, tuple[str, ...]]] = {
    "dry": {
        "overtake": ("{A} (passes|goes past|gets by|overtakes) {B}", "{B} is passed by {A}",
                     "{B} loses a place to {A}", "{A} is now ahead of {B}",
                     "~{A} moves in front of {B}", "~{B} now follows {A}"),
        "lead": ("{A} (leads|takes the lead) from {B}", "{B} gives up the lead to {A}",
                 "the lead passes from {B} to {A}", "{A} is in front of {B}",
                 "~{A} heads the field, {B} behind", "~the leader is {A}, no longer {B}"),
        "crash": ("{A} (has left the track|is off|has hit the wall|has spun)",
                  "{A} is facing the other way", "the race of {A} is interrupted by a wall",
                  "~{A} has made contact with the scenery", "~the barrier has met {A}"),
        "stop": ("{A} (stops|pits|comes in|visits the pits)", "{A} has new tyres",
                 "the crew services {A}",
                 "~{A} calls at the pit", "~tyres are changed for {A}"),
        "fastest": ("{A} sets the fastest lap", "the fastest lap is with {A}",
                    "nobody has been quicker than {A}",
                    "{A} improves the best time", "~the best lap belongs to {A}",
                    "~{A} goes quickest"),
        "retire": ("{A} (retires|stops for good|withdraws) with {R}", "{R} ends the race of {A}",
                   "{A} is out, owing to {R}", "~{A} goes home because of {R}",
                   "~{R}, and {A} parks"),
        "penalty": ("{A} is (penalised|punished) for {R}", "a penalty for {A} because of {R}",
                    "the stewards note {R} by {A}", "~{R} is charged to {A}", "~{A} pays for {R}"),
        "finish": ("{A} (finishes|crosses the line|completes the race)", "{A} is home",
                   "the flag falls for {A}",
                   "~{A} reaches the end", "~the distance is done by {A}"),
        "start": ("{A} starts better than {B}", "{A} (gets away|leaves) ahead of {B}",
                  "{B} starts behind {A}", "~{A} beats {B} off the line",
                  "~off the grid, {A} leads {B}"),
        "gap": ("{A} is (closing on|catching|nearer to) {B}", "{B} has {A} behind",
                "{A} follows {B}", "~{A} reduces the distance to {B}",
                "~{B} is being approached by {A}"),
        "puncture": ("{A} has a (puncture|flat tyre)", "a tyre of {A} has lost its air",
                     "{A} continues on the rim",
                     "~air has left a tyre of {A}", "~{A} is short of one tyre"),
        "duel": ("{A} and {B} are side by side", "{A} and {B} (share|contest|dispute) a corner",
                 "{A} is level with {B}", "~neither {A} nor {B} yields", "~{A} runs beside {B}"),
    },
    "exuberant": {
        "overtake": ("{A} (storms|flies|blasts|dives|rockets) past {B}", "{B} never saw {A} coming",
                     "{A} has (snatched|stolen|grabbed) it from {B}", "what a move by {A} on {B}",
                     "(look at|feast your eyes on) {A}, gone past {B}",
                     "~{A} leaps over {B} like a salmon", "~{A} makes {B} look like a statue"),
        "lead": ("{A} (seizes|rips|tears) the lead from {B}",
                 "{A} is in front and {B} is (stunned|speechless)",
                 "the crown flies from {B} to {A}", "here comes {A}, there goes {B}",
                 "~{A} is on the throne, {B} is off it",
                 "~it is {A}, it is {A}, {B} is beaten to it"),
        "crash": ("{A} is (spinning|flying|tumbling) off", "oh no, oh no, {A} is in the wall",
                  "{A} goes round and round like a carousel", "disaster, disaster for {A}",
                  "~{A} waltzes into the gravel", "~{A} is ploughing up the daisies"),
        "stop": ("{A} (dives|swoops|thunders) into the pits",
                 "the crew falls upon {A} like magicians",
                 "{A} is in, {A} is out, did you blink", "~the pit crew plays {A} like a violin",
                 "~{A} screeches in and the hammers sing"),
        "fastest": ("{A} has torn up the record book",
                    "{A} is faster than (lightning|light|rumour)",
                    "nobody, nobody flies like {A}", "{A} sets the track on fire",
                    "~{A} has mislaid the brakes and found heaven", "~{A} outruns the wind itself"),
        "retire": ("{R} breaks the heart of {A}", "it is over for {A}, {R}, what a tragedy",
                   "no, no, no, {R} and {A} is out", "~weep with me, {R} takes {A} away",
                   "~{A} is betrayed by {R}"),
        "penalty": ("a (thunderbolt|bombshell|hammer blow) for {A}, it is for {R}",
                    "they have got {A} for {R}", "{A} cannot believe it, a penalty for {R}",
                    "~the sky falls on {A} for {R}", "~{R}, they say, and {A} howls"),
        "finish": ("{A} (explodes|surges|roars) across the line", "{A} has done it, {A} is home",
                   "the flag, the flag, it waves for {A}", "~{A} bursts through the gates of glory",
                   "~bring out the brass bands for {A}"),
        "start": ("{A} (catapults|launches|explodes) away ahead of {B}",
                  "what a getaway by {A}, {B} is left standing",
                  "{A} goes off like a firework and {B} eats smoke",
                  "~{A} springs like a panther at {B}",
                  "~{A} is gone before {B} can say knife"),
        "gap": ("{A} is (hunting|stalking|devouring) {B}", "{A} can smell the fear of {B}",
                "{A} is coming, {B}, {A} is coming", "~run, {B}, run, here is {A}",
                "~{A} fills the mirrors of {B} like a storm"),
        "puncture": ("bang goes the tyre of {A}", "{A} is limping on ribbons of rubber",
                     "a puncture, a puncture for {A}, how cruel", "~rubber rains down around {A}",
                     "~the tyre of {A} gives up the ghost"),
        "duel": ("{A} and {B} are wheel to wheel, nose to nose",
                 "{A} and {B} are (dancing|fencing|duelling) like gods",
                 "neither {A} nor {B} will blink", "~{A} and {B} could shake hands at this speed",
                 "~{A}, {B}, {A}, {B}, who can tell them apart"),
    },
}  # fmt: skip

OPENINGS: dict[str, tuple[str, ...]] = {
    "dry": ("For the record, ", "To report: ", "Briefly, ", "As might be expected, ", "An update: ",
            "It should be said that ", "In other news, ", "Item: ", "The log shows that ",
            "~It is recorded that ", "~A short note: ", "~Those awake will see that "),
    "exuberant": ("Oh my word! ", "Ladies and gentlemen, ", "Hold on to your hats! ",
                  "Goodness gracious! ",
                  "Pinch me! ", "I do not believe it! ", "Unbelievable! ", "Stop the clocks! ",
                  "Yes, yes, yes! ",
                  "Mamma mia! ", "Call your mothers! ", "Hear that roar? ",
                  "Up, up, everybody up! ",
                  "Sweet thunder! ", "Wake the neighbours! ", "Oh, the drama! ", "Sensational! ",
                  "WOW! ",
                  "Can you feel it? ", "Friends, I am shaking, ", "Heavens above, ",
                  "Drop everything! ",
                  "~Saints and sinners! ", "~Ring every bell! ", "~Butter my toast! ",
                  "~My giddy aunt, ",
                  "~Is this a dream? ", "~Fetch the smelling salts! "),
}  # fmt: skip
CLOSINGS: dict[str, tuple[str, ...]] = {
    "dry": ("So it goes.", "Noted.", "Nothing further.", "The weather holds.",
            "Nobody appears surprised.",
            "The crowd has seen it too.", "We continue.", "That will be all.",
            "Tea is served at the usual hour.",
            "~The paperwork will follow.", "~One has seen worse.", "~Moving on."),
    "exuberant": ("What a race!", "My heart cannot take it!", "I need to sit down!",
                  "Frame it and hang it!",
                  "Poetry on wheels!", "Somebody fan me!", "This is why we live!",
                  "Tell everyone you know!",
                  "I have goosebumps on my goosebumps!", "Sheer, shameless magic...",
                  "Who writes this stuff?",
                  "Throw your hats in the air!", "I have lost my voice and found my soul...",
                  "Magnificent!",
                  "~Bury me with this moment!", "~Oh, I could kiss the stopwatch!",
                  "~Never let it end...",
                  "~Who needs sleep after that?"),
}  # fmt: skip
