"""The everyday problems of `kindness`, and what helps a little.

A situation is a block of lines, each with a mark: "#" names it and "=" lists its objects; "?"
tells the problem, "!" is a first step and "+" a second. A "~" after the mark holds a line out of
training, and the whole block where it stands before the name. {p} is the person, {o} the object,
{a} the object with its article, {them} and {their} the person again.
"""

SITUATIONS = """
# dropped
= bag of oranges, stack of papers, box of screws, tray of cups, basket of laundry
=~ crate of bottles, jar of beads
? {p} (has |)dropped {a} on the (stairs|pavement|platform)
? {a} slipped out of the hands of {p} and everything rolled away
? {p} is on {their} knees gathering up {a} that fell
?~ {a} lies all over the floor, and {p} looks ready to cry
! crouch down and help {p} gather the {o}
! pick up the part of the {o} that rolled furthest, and hand it (back|over)
! stand where people might step on the {o}, and wave them round
!~ kneel beside {p} and collect what you can of the {o}
+ check under the nearest bench for anything that rolled away
+ say that it happens to everyone
+~ hold the bag open while {p} fills it
# heavy
= suitcase, pram, sack of soil, cello, bookshelf
=~ typewriter, water barrel
? {p} is struggling with {a} at the foot of the stairs
? {p} cannot get {a} (up the steps|through the door|onto the bus) alone
? there is no lift, and {p} has {a} to bring up
?~ {p} has stopped halfway with {a}, out of breath
! offer to take one end of the {o}
! ask {p} whether a second pair of hands would help with the {o}
! hold the door wide open so that the {o} can pass
!~ take the lighter side of the {o}, if {p} agrees
+ go slowly and let {p} set the pace
+ put it down wherever {p} points
+~ clear the way ahead before you both lift
# lost
= scarf, library card, glove, umbrella, set of keys, earring
=~ notebook, hearing aid case
? {p} (has lost|cannot find) {a} (and keeps retracing {their} steps|on our street|since lunch)
? I found {a}, and I think it belongs to {p}
? {p} has been looking for {a} all day
?~ {a} has gone missing, and {p} is upset about it
! ask {p} where the {o} was seen last
! take ten minutes to look for the {o} along the way you both came
! hang a small sign at the door that describes the {o}
!~ go over the last place with {p}, looking for the {o}
+ ask at the nearest counter whether anything was handed in
+ send {p} a short message, found or not
+~ look low down, where people seldom look
# broken
= bicycle lamp, coat button, chair leg, mug handle, zip, garden gate
=~ music stand, kite string
? {a} broke this week, and {p} has (no time|no idea how|nobody) to mend it
? {p} is (sad|cross|embarrassed) about {a} that came off
? {p} has been living with {a} that no longer works
?~ the trouble is {a}, which {p} cannot get fixed
! offer to look at the {o} together with {p}
! lend {p} the right tool for the {o}
! ask {p} whether you may have a go at the {o} this evening
!~ bring glue and patience, and try the {o} side by side with {p}
+ say honestly if it is beyond you
+ keep the loose piece in an envelope so that it is not lost
+~ look up the nearest repair evening if it will not hold
# spilled
= pot of paint, glass of milk, bowl of soup, bottle of ink, cup of coffee
=~ carton of juice, pan of rice
? {p} (has just |)spilled {a} (over the table|on the carpet|down {their} coat)
? {a} went everywhere, and {p} is mortified
? {p} knocked over {a} in front of everybody
?~ {p} stands in front of a puddle that was {a}
! fetch a cloth and start on one side of the {o} that was spilled
! hand {p} some napkins before the {o} spreads
! move the papers out of the way of the {o}
!~ pass {p} a wet cloth for the {o}
+ talk about something else while you wipe
+ mention your own last spill, it helps
+~ bring a fresh one if there is more
# forgotten
= lunch box, pair of gym shoes, charger, pencil case, raincoat, pair of reading glasses
=~ packed supper, violin bow
? {p} (left|forgot) {a} at (home|my place|the office)
? {p} needs {a} (today|by noon) and it is still on the shelf
? {p} went off without {a}
?~ I see {a} on the hook, and {p} is already gone
! send {p} a message that the {o} is safe
! put the {o} by the door, where {p} will see it
! drop the {o} off if your way goes past {p}
!~ tell {p} in one line where the {o} is
+ offer to lend yours until tomorrow
+ leave it with someone at the desk if nobody answers
+~ make it easy to collect rather than a favour
# late
= essay, tax form, report, application, reading list
=~ seating plan, grant letter
? {p} is behind with {a} (and has stopped answering|and sleeps badly)
? {p} has to hand in {a} tomorrow and has hardly begun
? {a} is hanging over {p}
?~ {p} keeps putting off {a}
! sit beside {p} for a quarter of an hour while the {o} gets its first line
! ask {p} which part of the {o} is the nastiest
! offer to read one page of the {o}
!~ help {p} cut the {o} into three small bites
+ take one small chore off {them} tonight
+ leave the decisions about it to {p}
+~ set a timer and be quiet company
# lonely
= birthday, quiz night, lunch break, long weekend, holiday dinner
=~ name day, film evening
? {p} is (alone|on {their} own) for {a}
? nobody (thought of|remembered) {p} at {a}
? {p} has nobody to share {a} with
?~ {p} said that {a} is a quiet affair nowadays
! ask {p} whether {their} {o} could use company
! knock and ask {p} how the {o} is going
! send {p} a few lines about the {o}, by hand if you can
!~ invite {p} for a short walk on the day of the {o}
+ keep it easy to say no
+ remember one thing that {p} told you and ask about it
+~ stay only as long as it feels light
# poorly
= cold, sore throat, sprained ankle, migraine, stiff back
=~ head cold, twisted wrist
? {p} is (at home|in bed|stuck on the sofa) with {a}
? {p} has {a} and cannot get to the shops
? {p} sounds tired, it is {a} again
?~ {a} has put {p} out of action for a few days
! ask {p} what is missing in the kitchen because of the {o}
! leave some soup at the door of {p}
! offer to take over one errand until the {o} is better
!~ bring {p} the post, so that the {o} can have its rest
+ let {p} rest rather than talk
+ suggest a call to the doctor if it does not get better
+~ ask again in two days
# nervous
= driving test, job interview, first concert, exam, speech
=~ audition, swimming badge
? {p} is nervous about {a} (tomorrow|this week|on Monday)
? {p} did not sleep, thinking of {a}
? {p} has {a} and is convinced that it will go wrong
?~ {a} is coming up, and {p} has gone very quiet
! listen while {p} talks through the {o} once
! tell {p} one thing you have seen {them} do well, before the {o}
! offer to go with {p} as far as the door of the {o}
!~ ask {p} what would make the morning of the {o} easier
+ avoid giving advice unless asked
+ write afterwards and ask how it went
+~ make sure there is something to eat before
# news
= rejection letter, failed exam, cancelled trip, lost match, broken engagement
=~ lost vote, returned manuscript
? {p} got {a} (and says it is fine|and went very silent|today)
? {p} has to live with {a}
? I have just learned that {p} had {a}
?~ {a} has knocked the wind out of {p}
! tell {p} that you are sorry about the {o}
! ask {p} whether talking about the {o} would help or not
! sit with {p} for a little, the {o} need not be mentioned
!~ let {p} be cross about the {o} for as long as it takes
+ leave out the bright side for today
+ come back to it next week, when others have forgotten
+~ offer a walk, no words needed
# arrival
= first day, new desk, first rehearsal, new flat, first training
=~ first shift, new classroom
? {p} has {a} and knows nobody
? {p} stood alone at the edge, it was {their} {o}
? it is {a} for {p}, and everybody else has known each other for years
?~ {p} looks lost, with {a} and no friend in sight
! greet {p} by name and ask about the {o}
! show {p} where the kettle and the coats are
! invite {p} to sit with you, since it is the {o}
!~ introduce {p} to one person with something in common
+ explain one joke that everybody else understands
+ repeat your own name, nobody keeps ten names at once
+~ look for {p} again tomorrow
# foreign
= ticket machine, menu, timetable, library form, washing machine
=~ recycling chart, tram map
? {p} cannot read {a} and does not speak our language well
? {p} has been standing in front of {a} for a long while
? {a} defeats {p}, all of it is in small print
?~ {p} keeps turning away from {a}, too shy to ask
! point at the right line of the {o} and wait
! ask {p} with a smile where to, and press the first key of the {o} together
! read the {o} aloud to {p}, slowly
!~ go through the {o} with {p}, one step at a time
+ use few words and your hands
+ let {p} press the buttons
+~ write the number down on a scrap of paper
# device
= printer, new phone, password, video call, hearing device, remote control
=~ e-reader, cash machine
? {p} is at war with {a}
? {p} cannot get {a} to work and is ashamed to ask (again|)
? {p} has given up on {a}
?~ {a} makes {p} feel old
! sit down next to {p} and let {them} hold the {o}
! write the three steps for the {o} on a card for {p}
! ask {p} to show you where the {o} gets stuck
!~ go through the {o} once, at the speed of {p}
+ keep your hands off the buttons
+ say that the thing is badly made, because it is
+~ promise to answer one more question next week
# hungry
= sandwich, train fare, bus ticket, coin for the locker, bottle of water
=~ postage stamp, phone card
? {p} has no money for {a} (today|and says nothing)
? {p} is a little short at the till, it is only {a}
? {p} left {their} purse at home and cannot buy {a}
?~ {p} goes without {a} because the purse is empty
! put down the little that is missing for the {o}
! say to {p} that the {o} is on you this time
! share what you have if {p} would like some instead of the {o}
!~ slip {p} the price of the {o}, without a speech
+ wave the thanks away
+ do it quietly, so that nobody looks round
+~ change the subject at once
# weather
= thin jacket, pair of wet shoes, broken umbrella, cold flat, hat that blew away
=~ torn raincoat, frozen bicycle
? {p} is (shivering|soaked|blue with cold), it is {a}
? {p} came in out of the rain with {a}
? {p} has to manage with {a} in this weather
?~ with {a}, {p} waits outside in the sleet
! lend {p} something dry until the {o} is dealt with
! offer {p} the place by the radiator, and a hook for the {o}
! put the kettle on for {p}
!~ share your shelter with {p}, the {o} is no use now
+ say that there is no hurry to return it
+ ask first, some people like the rain
+~ put newspaper into anything wet
# waste
= recycling bin, garden chair, flower pot, row of bins, tarpaulin
=~ bird table, compost lid
? the wind knocked over {a} that belongs to {p}
? {p} is away, and {a} lies in the road
? {p} cannot go out in the storm, and {a} is rolling about
?~ {a} of {p} has ended up on my side
! stand the {o} up again and wedge it by the wall
! carry the {o} back to the door of {p}
! tell {p} that the {o} is safe
!~ bring the {o} in for the night, and let {p} know
+ sweep up what fell out
+ use a brick so that it stays
+~ put a line through the letter box to say where it is
# plant
= tomato plant, fern, window box, young tree, lemon tree
=~ tray of seedlings, ivy
? {p} is in hospital for a week, and {a} is drying out
? {p} is proud of {a}, but it is wilting
? {p} asked nobody to look after {a}
?~ I can see from the street how {a} of {p} droops
! offer {p} to water the {o} twice a week
! ask {p} how much the {o} likes to drink
! give the {o} one can of water, if {p} agrees
!~ move the {o} out of the noon sun, once {p} says yes
+ send a picture when the first leaf stands up
+ write the days on the calendar
+~ use rain water if you have it
# quarrel
= parking space, loud radio, borrowed ladder, hedge, washing-up rota
=~ barking dog, shared shed
? {p} and I had words about {a}
? {p} has been curt with everyone since {a}
? I was sharp with {p} over {a}
?~ since the affair of {a}, {p} looks away when we meet
! say sorry to {p} for your part in the matter of the {o}
! ask {p} how the {o} looked from the other side
! greet {p} first tomorrow, before any word on the {o}
!~ offer {p} one small concession about the {o}
+ leave out the word but
+ expect nothing back today
+~ keep it to three sentences
# tired
= crying baby, night shift, pile of dishes, double shift, full laundry basket
=~ teething toddler, harvest week
? {p} is worn out, because of {a}
? {p} has had no evening off, there is always {a}
? {p} nodded off on the stairs, it is {a} again
?~ {a} has left {p} with dark rings under the eyes
! take one thing off {p} tonight, the {o} or something else
! offer {p} half an hour of sleep while you mind the {o}
! bring {p} a dish that only needs warming
!~ ask {p} which hour of the {o} is the worst, and fill that one
+ let yourself out without being thanked
+ do it the way {p} does it, not your way
+~ name a day, so that {p} need not ask
# mistake
= wrong invoice, typo on the poster, missed call, burnt cake, overwatered desk plant
=~ mixed-up order, double booking
? {p} made a mistake, it was {a}, and (everybody|the boss) noticed
? {p} keeps apologising for {a}
? {p} is hiding in the kitchen after {a}
?~ everybody talks about {a}, and {p} hears it
! tell {p} about a slip of your own, worse than the {o}
! help {p} put the {o} right, one step at a time
! say to {p} that nobody will remember the {o} by Friday
!~ go and stand next to {p}, the {o} will look smaller
+ praise one thing that went well
+ steer the talk elsewhere when others bring it up
+~ ask what would help, then do that
# excluded
= card game, football match, group photo, lunch table, song
=~ chess corner, skipping game
? {p} is always left out of {a}
? nobody made room for {p} at {a}
? {p} watches {a} from the side
?~ at {a}, {p} never gets asked
! move up and wave {p} over to the {o}
! ask {p} to be on your side in the {o}
! explain the rules of the {o} to {p} in two lines
!~ start a second {o} with {p}
+ let {p} go first
+ ask again another day if the answer is no
+~ keep it small, not a rescue
# stuck
= jar lid, ticket barrier, jammed drawer, car in the snow, wheelchair at the kerb
=~ bicycle lock, garage door
? {p} is stuck, it is {a}
? {p} has been pulling and pushing, but {a} will not move
? {a} holds {p} up
?~ {p} gave {a} a sad little kick
! ask {p} whether you may try the {o}
! lend a hand with the {o}, the way {p} says
! stay with {p} until the {o} is sorted out
!~ offer {p} a fresh pair of arms for the {o}
+ count to three before you both push
+ fetch someone stronger rather than force it
+~ let {p} finish it off
# ~toy
= cloth rabbit, toy train, kite, wooden duck
=~ paper boat, marble, rag doll
? {p} has a small child who dropped {a} somewhere
? {p} is searching the park for {a}, the little one is in tears
?~ the little one of {p} cannot sleep without {a}, and it is gone
?~ {p} has turned the pram inside out for {a}
! walk back the way with {p} and look for the {o}
!~ look under the benches for the {o} with {p}
!~ put the {o} on the fence post where {p} will see it, if you find it
+ ask the child what its name is
+~ make the search a game for the child
# ~pet
= cat, tortoise, parrot, old dog
=~ hamster, budgerigar, lame pony
? {p} is ill, and {a} needs feeding
?~ {p} cannot walk {a} this week
?~ {a} of {p} has slipped out through the gate
! offer {p} to look in on the {o}
!~ ask {p} what the {o} likes, and do just that today
!~ keep an eye out for the {o}, and ring {p} if you see it
+ send {p} a picture in the evening
+~ note down the hours so that nothing is done twice
"""
