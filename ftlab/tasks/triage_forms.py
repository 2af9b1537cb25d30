"""The forms that the tickets of the triage task are composed from.

One form a line. (a|b) is a choice, {slot} takes a value, a line with ~ is held out for tests.
`PROBLEM` says what is wrong in an intent's own words, `CROSSED` with words that are another's, and
`ASIDE` names it in passing, where it is not what the ticket asks for.

>>> sorted(PROBLEM) == sorted(CROSSED) == sorted(ASIDE)
True
"""

from ftlab.tasks.messages import lines

PROBLEM = {
    "billing": lines("""
(You|Your company) charged (us|me) twice for {date}.
The invoice of {date} shows {amount} instead of {amount2}.
(Our|My) bill has the wrong (address|tax number|company name) on it.
Why (is|was) (our|the) bill {amount} this month? It used to be {amount2}.
The card was billed {amount}, although we agreed on {amount2}.
There is (an item|a line) on the invoice that (we|I) do not (know|recognise).
(I|We) never received an invoice for {date}.
The (yearly|monthly) fee on (our|the) statement does not match the contract.
Tax was (calculated|added) wrongly on invoice {ref}.
Please (send|issue) a corrected invoice for {ref}.
The payment method on file has expired and (I|we) want to pay by (transfer|another card).
The discount (we|I) was promised is missing from the bill.
Please split the bill between {firm} and us.
We pay for {number} seats and use half of them, so why this sum?
(The|Your) reminder says that we did not pay, but the transfer of {amount} left on {date}.
The price on the bill is in the wrong currency.
~What is this sum of {amount} on our account statement?
~Your accounts people added up {ref} wrongly.
~According to the paper you sent, we owe {amount}; we make it {amount2}.
~You took (the fee|the sum) for {date} from us two times over.
~Kindly correct what you ask us to pay for (spring|autumn): it is {amount} too much.
~A fee has crept into {ref} that nobody here agreed to.
"""),
    "bug": lines("""
When (I|we) (save|export) a (report|file), {product} (freezes|closes by itself).
The (calendar|chart|table) shows the wrong (day|numbers) since the update of {date}.
{product} (crashes|hangs) every time (I|we) open the (settings|second page).
The search finds nothing, even for names that are (surely|definitely) there.
Since {date} all (dates|sums) in the report are (off by one|doubled).
Clicking on the (green|save|next) button does nothing in {product}.
Error {ref} comes up when (I|we) attach a picture.
The (list|table) is sorted backwards, whatever (I|we) choose.
Letters with accents turn into question marks in {product}.
The app on my (phone|tablet) shows a blank screen after the photo upload.
The same (entry|note) is saved twice each time.
(Notifications|Reminders) arrive (hours|days) after the event.
The (clock|counter) in {product} stands still at {hour}.
(Copy and paste|Undo) deletes the whole (line|page).
Every second (picture|entry) is missing after a (reload|restart).
The (English|first) version shows (Greek|garbled) menus.
~{product} swallows every comma that I type.
~Half of the page is painted over by a grey box.
~If you turn the tablet sideways, all that was typed is gone.
~Whenever I scroll, {product} jumps back to the top.
~(Two|Three) columns swap places as soon as the file is stored.
~{product} tells me that February has thirty days.
"""),
    "cancellation": lines("""
(I|We) want to cancel (our|my|the) (subscription|contract|plan).
Please (end|close) (our|the) contract at the end of (the month|the year).
(We|I) will not renew {product} after {date}.
(I|We) (hereby |)give notice for contract {ref}.
Please stop (our|the) plan from {date} on.
(We|I) do not need {product} any more, please end it.
How much notice must (I|we) give to leave? We want to stop on {date}.
We have moved to another supplier and want to end the (agreement|contract).
Please confirm that (our|my) subscription ends on {date}.
Take us off the plan, we are closing down.
(I|We) tried {product} and it is not for us: do not extend the trial.
(Downgrade is not enough, we|We) want out of the contract.
Our club is dissolved, so the membership must end on {date}.
What do (I|we) have to sign to get out of contract {ref}?
(I|We) use our right of withdrawal for contract {ref}.
Please do not renew: {date} is our last day.
~Our ways part on {date}: no further term, please.
~Consider this letter the end of agreement {ref}.
~We shall not go on with {product} next season.
~From {date} we manage (alone|by hand), so close what we have with you.
~Set us free from {ref} as soon as the terms allow.
~It was a fine time with {product}, and it is over: no renewal.
"""),
    "delivery": lines("""
(My|Our|The) parcel with the {item} has not arrived.
Order {ref} was due on {date} and is still (missing|not here).
The courier left (our|the) {item} at the wrong (house|door|address).
Tracking for {ref} has not moved since {date}.
Where (is|are) (my|our) {item}? The driver (never came|did not ring).
Half of the delivery is missing: no {item} in the box.
(We|I) got somebody else's parcel instead of the {item}.
The box came (open and wet|crushed), with the {item} still inside.
The depot says that the {item} (went|was sent) back to you.
When will order {ref} be here?
Please send the {item} to our new address in {town}, before it leaves.
The shipment to {town} seems to be stuck at customs.
The driver wanted a signature at {hour}, when the shop was closed; please bring the {item} again.
The {item} was announced for {date}, then for the day after, and now for never.
Two of the three boxes came; the one with the {item} did not.
Can the {item} be dropped at our side door in {town}?
~Nobody has seen the van that carries our {item}.
~We still wait at the gate for what left your warehouse on {date}.
~The {item} went to {town}, and we are not in {town}.
~Our neighbour in {town} holds a box that is ours, says your driver; he does not.
~The lorry passed our street (twice|again) without a stop.
~What was sent on {date} has not reached our (yard|ramp).
"""),
    "feature": lines("""
(It would be (nice|great)|We would love it) if {product} could (print labels|read barcodes).
(Could|Can) you add a (dark mode|map|week view) to {product}?
Please (think about|consider) (a|an) (offline mode|export to spreadsheets|second language).
(I|We) (miss|am missing) a way to sort by (colour|date|size).
An idea for the next version: (reminders by text|shared lists|keyboard shortcuts).
Is there a plan to support (left-handed layouts|bigger letters)? We would like that.
{product} should let people (undo a step|choose their own colours).
Have you thought of (adding a button to copy entries|templates for notes)?
My wish for {product}: (several calendars|a simple counter).
Your rivals offer (voice input|a plan view); when will you?
(Suggestion|Proposal): show the (totals|weather) on the first page.
A (clock|ruler|small calculator) in {product} would make our work easier.
(We'd|I'd) vote for a (calculator|timer|map) inside {product}.
Could the (list|chart) be made to print in colour one day?
Please allow more than {number} entries on a page in a later version.
A link between {product} and our (till|scale|phone system) is on our wish list.
~Pray build us a (stopwatch|drawing board) into {product}.
~One thing would make {product} perfect: a tally at the foot of the page.
~Why not let the tool speak the text aloud some day?
~How about letting us (pin|frame) what matters most?
~The next edition should greet each user by name.
~I have drawn a sketch of a better start page for you.
"""),
    "login": lines("""
(I|We) can't (log in|sign in) to {product}.
My password is (rejected|not accepted) since {date}.
The code for signing in never (arrives|comes) by text.
(My|Our) account is locked after (three|five) tries.
The reset link says that it has expired.
(I|We) lost the phone with the sign-in app and can't get into the account.
{product} says that my user name is unknown.
A new colleague, {name}, has no access yet.
(I|We) changed my e-mail address and now I am locked out.
It asks for a second factor that (I|we) never set up.
(I|We) forgot the password, and the security question, too.
After typing my password I land on the sign-in page again and again.
The account of {name} was (blocked|disabled) and must be opened again.
{product} sends me to a page that asks for a token I never got.
The fingerprint is no longer recognised at the start of {product}.
Since our company changed its name, nobody's old user name is accepted.
~The door to my account stays shut, whatever I type.
~{name} is told "wrong credentials" although they are right.
~My six digits are refused each time.
~I stand outside: neither the old nor the new secret word is taken.
~{name} needs a way back into the account.
~The letter with my first access data got lost, so I can't enter.
"""),
    "outage": lines("""
{product} is down (for everyone|for all of us) since {hour}.
Nothing loads, on any (computer|device) in the building.
The whole (site|service) (is unreachable|gives error 503).
All (branches|offices) report that {product} does not answer.
Your servers seem to be (down|offline) since {hour}.
No one in the company can reach {product}, in {town} or elsewhere.
Is there (a disruption|an outage)? We all see a maintenance page.
The service went (dark|dead) at {hour} and has not come back.
Every page times out for the whole team.
The system has been offline since {hour}, for all users.
We get no connection to {product} from any of our (sites|shops).
Your status page says green, but nothing works (anywhere|for anybody).
(None|Not one) of our {number} people can open {product} since {hour}.
Is it the servers again? All of {town} sees (error 500|a blank page).
{product} has stopped for everybody, phones and computers alike.
Since {hour} every request from any site ends in a timeout.
~From {town} to the coast, {product} is dead.
~All screens went blank together at {hour}.
~There is no sign of life from your data centre.
~In all our houses {product} has given up at the same minute.
~The lights are out in your (cloud|data centre), it seems: no user gets through.
~Whoever tries, wherever they sit, meets error 503.
"""),
    "privacy": lines("""
Please (delete|erase) all (data|records) that you (hold|keep) about (me|us).
(I|We) want a copy of all personal data stored about (me|{name}).
Who (can see|has access to) the health data of our staff?
(My|Our) address was passed on to (advertisers|a third party) without consent.
(I|We) did not agree to the newsletter and (want|wish) to be removed from the list.
How long do you (store|keep) the personal data of former users?
Where are our records stored, in which country?
I withdraw my consent to the use of my data.
Your mail showed the addresses of all (customers|members) to everyone.
Please send (us|me) the agreement on data processing.
A stranger's (name|file) is visible in (my|our) account.
Please remove {name} from your records, as the law (provides|demands).
Do you sell what you know about your users?
Please correct the date of birth that is stored about {name}.
Our data protection officer asks for the list of your subcontractors.
A former employee still appears with photo and address; please remove that.
~I use my right to be forgotten.
~What do you know about me? Let me have it all in writing.
~Photographs of our pupils must vanish from your machines.
~Nobody here allowed you to keep our voices on tape; wipe them.
~Strangers write to me at an address that only you had.
~Which of your staff may read what our patients tell us?
"""),
    "question": lines("""
How (do|can) (I|we) (change the language|add a logo) in {product}?
Where (do I find|is) the (list of shortcuts|archive|manual)?
Is there a (guide|video) on how to (make a report|share a folder)?
What is the difference between (a project and a folder|the two plans)?
Does {product} (work|run) on (an old tablet|Linux)?
How many (people|users) can share one (list|board)?
Can (I|we) (merge two lists|move entries to another year)? If so, how?
What does the (yellow triangle|small star|grey dot) mean?
Which (file types|formats) can (I|we) import?
(I|We) (am|was) wondering how to print on both sides.
Could somebody explain what "(archive|sync|merge)" does?
At what hours is your (desk|office) open?
Could you tell (me|us) which button (hides|shows) the side bar?
How big may a file be in {product}?
Is it allowed to use one licence in {town} and at home?
What do (I|we) click to see last year's (notes|lists)?
~Kindly teach me the way to rename a board.
~Is a training day offered for {product}?
~May I ask what the number beside my list stands for?
~Remind me, please, which key opens the menu?
~I seek the chapter of the handbook about (labels|borders).
~Does the small print allow a second screen?
"""),
    "refund": lines("""
(I|We) want (my|our) money back for the {item}.
Please refund {amount} for order {ref}.
The {item} went back on {date}, but the money has not been returned.
(When|How soon) will (I|we) get the {amount} back?
(I|We) (returned|sent back) the {item} and still wait for the refund.
The {item} broke on the first day: (I|we) ask for a refund.
(I|We) (was|were) promised a refund of {amount}.
Please pay back what (I|we) paid for {ref}.
The {item} is not as described, please (refund me|return my payment).
You owe (me|us) {amount} for the goods that (I|we) gave back.
(I|We) want to be reimbursed for the {item}.
A voucher is no use to (me|us), I want the money for the {item}.
(I|We) accept your offer to pay back {amount}; when will it come?
The {item} was out of stock, yet you kept the {amount}; return it, please.
Here are (my|our) bank details for the repayment of {ref}.
We sent the {item} back unopened and ask for the price in full.
~Kindly let {amount} find its way back to my account.
~The {item} is in your hands again, now hand over the cash.
~I expect repayment of {ref} in full.
~Half price was promised after the fault, so {amount} must come back to me.
~The shop took the {item} back but kept our {amount}.
~Make good what the broken {item} cost me.
"""),
}
CROSSED = {
    "billing": lines("""
You billed (us|me) for a month after we had cancelled.
The delivery fee on invoice {ref} is wrong.
We were charged for the days on which your servers were down.
(I|We) got the refund, but the invoice still shows {amount} as open.
~The bill counts users who never logged in.
"""),
    "bug": lines("""
The (refund|cancel|password) button in {product} does nothing.
The invoice preview in {product} shows only (boxes|zeros).
The delivery map in {product} draws (our|the) street upside down.
The box for wishes and ideas cuts off my text after one line.
~The page with my orders adds a zero to each sum.
"""),
    "cancellation": lines("""
After the third outage (we|I) want to end the contract.
Since the parcels never arrive, (we|I) give notice of our contract.
The bills are too high: (we|I) terminate the plan.
{product} has too many bugs, please end our subscription on {date}.
~With logins failing each day, we leave: the contract ends on {date}.
"""),
    "delivery": lines("""
(I|We) paid invoice {ref}, but nothing has been (shipped|delivered).
(I|We) do not want a refund, I want the parcel with the {item}.
The replacement for the broken {item} has not arrived.
How do I find out where the van with my {item} is?
~The cancelled {item} came all the same, on the wrong day and to the wrong door.
"""),
    "feature": lines("""
Could you add signing in by fingerprint to {product}?
It would be great to have invoices as (spreadsheets|one file).
A button to track all deliveries on one map would be (lovely|useful).
Please add a setting to delete old entries by itself.
~A night mode for the page of bills is what I dream of.
"""),
    "login": lines("""
(I|We) cannot sign in to see (my|our) invoice.
I'm locked out, so I can't (cancel|change) anything.
To ask for a refund I must sign in, and my password is refused.
How do I reset my password? The link does not come.
~The parcel page wants a password, and mine is refused.
"""),
    "outage": lines("""
Nobody at all can (log in|sign in), in any branch: the service is down.
The payment service is down, for every customer, since {hour}.
Order tracking is offline for all our shops since {hour}.
Is the whole of {product} down, or what is this error 503 everywhere?
~Not a single till can send a bill: {product} is gone, everywhere.
"""),
    "privacy": lines("""
We cancelled long ago; now delete all our data.
Your invoice mail went to strangers, with (my|our) personal data.
The courier posted my name and address online.
How do I get a copy of the data you hold about me?
~A bug let others read my personal file: who has seen it?
"""),
    "question": lines("""
How does one cancel a (meeting|reminder) in {product}?
Where can (I|we) see when an invoice is due?
Is there a guide on how refunds are booked in {product}?
Can the delivery address be different for each branch, and how?
~May I ask how often one ought to change the password?
"""),
    "refund": lines("""
The subscription is cancelled, now (I|we) want the {amount} back.
The parcel never came, so please give (me|us) the {amount} back.
You charged me twice, and I want the second {amount} back.
For the days of the outage (I|we) want {amount} back.
~The app never worked, so hand back the {amount} that I paid.
"""),
}
ASIDE = {
    "billing": ("the wrong invoice", "the double charge", "the bill of {date}", "~the tax mistake"),
    "bug": ("the crash", "the error in the report", "the frozen page", "~the garbled accents"),
    "cancellation": ("the end of our contract", "the notice I gave", "~our leaving the plan"),
    "delivery": ("the late parcel", "the missing box", "delivery {ref}", "~the lost van"),
    "feature": ("the dark mode that I asked for", "my idea", "~the wish list"),
    "login": ("the forgotten password", "the locked account", "the sign-in code", "~the lockout"),
    "outage": ("the outage", "the downtime of {date}", "the server failure", "~the blackout"),
    "privacy": ("the copy of my data", "the newsletter list", "~the data agreement"),
    "question": ("the question about the manual", "how to print", "~the training day"),
    "refund": ("the refund", "the money for the {item}", "the repayment", "~the reimbursement"),
}

# What is not what the ticket asks for.

SET_ASIDE = lines("""
{aside} (has been|was) sorted out (last week|yesterday|by your colleague), thank you.
This is not about {aside}.
I am not writing about {aside} (this time|today).
I will write about {aside} another time.
{aside} can wait for a ticket of its own.
(My colleague|{name}) has opened a separate ticket for {aside}.
Please leave {aside} out of this one, it is done.
(Thanks|Thank you) for solving {aside} so fast.
Last month it was {aside}, which you settled.
~Forget {aside}, that is history.
~Unlike {aside}, which is behind us, this one is open.
~To be clear: {aside} is in other hands.
""")
HISTORY = lines("""
> {problem}\\n> Status: (solved|closed) on {past}
Earlier ticket ((solved|closed)): {problem}
----- (closed|done) on {past} -----\\n{problem}
~Old business, finished {past}: {problem}
""")

# How much hangs on it.

IMPACT = {
    "high": lines("""
We can't (work|open the shop|serve anyone) until this is solved.
(It costs|We lose) (us |)money (every hour|by the minute).
(Customers|Patients|Guests) are waiting (at the counter|in the lobby) because of it.
The (audit|event|wedding|exam) is (tomorrow|tonight), and it hangs on this.
We have to have this (today|within the hour).
(It is|This is) a matter of safety.
All our work has stopped over this.
If this is not done by tonight, we lose our biggest customer.
(Everything|The whole week's work) is at risk.
The deadline is (in two hours|this afternoon).
~Ambulances depend on this.
~The curtain rises at eight, and without it there is no show.
~We stand still, all forty of us.
"""),
    "normal": lines("""
It (slows us down|is a nuisance), but we manage.
An answer this week would be good.
(I'd|I would) like to have this settled in the next few days.
There is a workaround, but it takes time.
It is annoying, but (nothing stops|work goes on).
(Please look into it|Please see to it) in the usual way.
It should be done (before the end of the week|in the coming days).
We can bridge a few days.
~We limp along until you get to it.
~Ordinary speed will do.
"""),
    "low": lines("""
(No hurry|No rush)(| at all).
(Whenever|When) you have a (quiet |)moment.
It can wait (until next month|for weeks).
It's (just|only) (a small thing|for my curiosity).
Not important, I just (wanted to mention it|thought you should know).
There is plenty of time.
If you never get to it, that is fine, too.
Put it at the bottom of the pile.
~Some day will do.
~Nothing whatever hangs on it.
~It would be no drama to hear from you in spring.
"""),
}
IMPACT_CROSSED = {
    "high": lines("""
I hate to (bother|press) you, but we can't (work|open) until it is solved.
No drama in tone, but patients are waiting for this right now.
It may look like a small thing, but the whole event tonight hangs on it.
I am never one to hurry people, yet all our work has stopped.
~Trifling as it sounds, the surgery cannot begin without it.
"""),
    "normal": lines("""
My boss calls it a catastrophe; in truth it slows us down, but we manage.
It is not for today, and not for next month either: this week, please.
I know that I sound furious, but a few days are fine.
~Not a fire, not a trifle: the usual pace is right.
"""),
    "low": lines("""
My manager marked this as urgent, but honestly, it can wait for weeks.
I shout, I know, but there is no hurry at all.
This is a disgrace! Though nothing depends on it, take all the time you need.
Everyone says ASAP these days. I do not: any time next month.
~They told me to write HIGHEST PRIORITY here, yet it is a trifle.
"""),
}

# Around it.

SUBJECT = lines("""
(Question|Problem|Request|Help|Ticket {ref}|{product}|Hello|Support)
(Re: |)(our call|our account|customer {ref})
~(A word with you|From a customer of yours)
""")
LOUD = lines("""
(URGENT|VERY URGENT|ASAP)(!!!|!|)
(READ THIS NOW|EMERGENCY|Immediate action needed)
~RED ALERT
""")
QUIET = lines("""
(A small thing|Minor matter|Low priority|No rush)
~By the by
""")
GREETING = lines("""
(Hi|Hello|Hey)(| there| team| support),
(Good morning|Good evening|Good day),
Dear (support|team|all),
(hi|hello|hey)
~Greetings to the desk,
~Salutations,
""")
CHATTER = lines("""
I hope (you are well|your week is going well).
We have (used|had) {product} for (two|three|five) years.
I am (writing from|sitting in) our office in {town}.
(I|We) (already |)(restarted everything|asked a colleague).
I am not very (good with computers|technical).
My customer number is {ref}.
(I called|I rang) on {date}, but the line was busy.
{name} at your desk was very (kind|patient) last time.
We are a small (bakery|clinic|school|theatre) with {number} people.
The weather in {town} is terrible, by the way.
You can reach me on {phone}.
(Thanks|Thank you) for (your help|reading this).
I attach a (picture|screenshot).
~Our parrot sends its best wishes.
~I write this on a train, so forgive my brevity.
~You come highly recommended by {firm}.
""")
TONE = lines("""
This is (ridiculous|a joke|unbelievable)!
I am (tired|sick) of this.
Are you (asleep|kidding me)?
(Worst|Best) (service|support) ever.
I'm (really sorry|ashamed) to bother you with this.
You do a (great|wonderful) job.
(Sigh.|Hmm.|Well, well.)
I expected (more|better) of you.
~My hair is turning grey over you.
~You are my favourite people.
""")
SIGNATURE = lines("""
{name}
{name}, {firm}
(Regards|Thanks|Best|Cheers),\\n{name}
(Kind regards|Many thanks),\\n{name}\\n{firm}
- {name}
sent from my (phone|tablet)
~Ever yours,\\n{name}
~{name} / {firm} / {town}
""")
PRODUCTS = lines("""
Lumidesk
Tallyhook
Orbinote
Plankton Board
Cobblecast
Fernpad
Quietcal
Rookery
~Mossgrid
~Wherrytime
~Pennyloom
""")
TOWNS = lines("""
Aldermouth
Brackenford
Castelmira
Dunholt
Eskerby
Fjordvik
Port Samira
Kilnhaven
~Oloruntown
~Vale of Tarn
~Nova Serena
""")
