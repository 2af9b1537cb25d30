"""The forms that the messages of the extraction task are composed from.

One form a line. (a|b) is a choice, {slot} takes a value, a line with ~ is held out for tests.
{do} is the wish as an infinitive, {what} the thing and how many, {by} the day or nothing.

>>> "order {what}" in DO["order"]
True
"""

from ftlab.tasks.messages import lines

# What is wanted.

DO = {
    "order": lines("""
order {what}
buy {what}
place an order for {what}
get hold of {what}
put in an order for {what}
stock up on {what}
add {what} to the standing order
take {what}
~purchase {what}
~have {what} delivered
~acquire {what}
"""),
    "quote": lines("""
get a (price|quote) for {what}
know what {what} would cost
have an offer for {what}
ask about the price of {what}
see the prices for {what}
get a quotation for {what}
hear the price of {what}
~receive an estimate for {what}
~find out the going rate for {what}
~compare prices for {what}
"""),
    "return": lines("""
return {what}
send back {what}
give {what} back
send {what} straight back
hand back {what}
return {what} for a refund
~ship {what} back
~bring {what} back to the shop
~hand {what} in again
"""),
    "repair": lines("""
have {what} repaired
get {what} fixed
book a repair for {what}
have someone mend {what}
get a repair for {what}
have {what} repaired in the workshop
~get {what} mended
~have {what} put right
~get {what} back in working order
"""),
    "cancel": lines("""
cancel {what}
cancel (an|the) order for {what}
call off the order for {what}
withdraw (an|the) order for {what}
stop the order for {what}
take {what} off the order list
~drop the order for {what}
~revoke the order for {what}
~back out of the order for {what}
"""),
}
REQUEST = {
    "order": lines("""
Please send (us|me) {what}{by}.
(Could|Can) you (please |)deliver {what}{by}?
(We|I) need {what}{by}.
(We|I)'ll take {what}{by}.
Please put (us|me) down for {what}{by}.
What we need from you now is {what}{by}.
(Kindly|Please) ship {what}{by}.
Our stock is gone, so please let us have {what}{by}.
Book (us|me) in for a delivery{by}: {what}.
~Do send (us|me) {what}{by}.
~(We are|I am) short of {what} and need them{by}.
~Get {what} on the road to us{by}.
"""),
    "quote": lines("""
What would {what} cost (us|me){by}?
How much (would you ask|do you charge) for {what}{by}?
Please quote (us|me) for {what}{by}.
(Could|Can) you (please |)give (us|me) a price for {what}{by}?
(We|I) need an offer for {what}{by}.
Your best price for {what}, please{by}.
Is there a discount on {what}? (We|I) want the figures{by}.
~At what price can you supply {what}{by}?
~Please name (us|me) a figure for {what}{by}.
~Before we decide, what are {what} going to cost{by}?
"""),
    "return": lines("""
{what} came (broken|damaged|in the wrong colour) and have to go back{by}.
Please (collect|pick up) {what}{by}, we (are sending|want to send) them back.
(We|I) did not ask for {what}: please take them back{by}.
(We|I) want (my|our) money back for {what}{by}.
Please take back {what}{by}.
How do (we|I) send back {what}{by}?
{what} are not what was promised, so we are returning them{by}.
~{what} are no good to us and must leave here{by}, at your cost.
~Tell (us|me) where to send {what}, which we are not keeping{by}.
~Please fetch {what} from us{by} and refund them.
"""),
    "repair": lines("""
{what} stopped working and must be mended{by}.
Please (send someone|come) to fix {what}{by}.
(Could|Can) your workshop repair {what}{by}?
{what} broke down; (we|I) need them working again{by}.
Please mend {what}{by}.
Is it possible to get {what} repaired{by}?
(We|I) have {what} here that need fixing{by}.
~Your engineer should look at {what} and mend them{by}.
~{what} gave up on us; kindly put them in order{by}.
~Somebody has to get {what} running again{by}.
"""),
    "cancel": lines("""
Please cancel {what}{by}.
(We|I) no longer need {what}: please cancel them{by}.
Please stop the order for {what}{by}.
Do not send {what}: the order is cancelled{by}.
(Could|Can) you (please |)take {what} out of the system again{by}? We are cancelling.
(We|I) must cancel {what}{by}.
Plans have changed, please call off {what}{by}.
~Kindly strike {what} from our order{by}.
~{what} are off, our event is not taking place. Confirm that{by}.
~Forget about {what}, and write to us that it is done{by}.
"""),
}
WISH = lines("""
(We|I) would like to {do}{by}.
(We|I)'d like to {do}{by}, (if possible|please|if we may).
(We|I) want to {do}{by}.
(Could|Can|May) (we|I) (please |){do}{by}?
Is it possible to {do}{by}?
(We are|I am) writing to {do}{by}.
(We are|I am) hoping to {do}{by}.
We have decided to {do}{by}.
My boss asked me to {do}{by}.
The plan is to {do}{by}.
I was told that (we|I) can {do}{by} by writing to you.
How do (we|I) go about it if (we|I) want to {do}{by}?
(We|I) need to {do}{by}.
It would be (great|wonderful|good) to {do}{by}.
I have been asked to {do}{by}.
It's time for us to {do}{by}.
~We should be glad to {do}{by}.
~(We|I) wish to {do}{by}.
~Would you let (us|me) {do}{by}?
~You could make us happy: we'd love to {do}{by}.
~There is one thing on my list today, to {do}{by}.
~Our intention is to {do}{by}.
""")
WHAT = lines("""
{quantity} {item}
{quantity} {item}
{quantity} {item}
{quantity} of (the|these|those) {item}
{item} (quantity: {quantity})
{item}, {quantity} (in all|in total|altogether),
~a batch of {quantity} {item}
~{item}, {quantity} pieces in number,
~{quantity} {item} exactly
""")
WHAT_CORRECTED = lines("""
{wrong}( - no,| - sorry,|, I mean|, or rather) {quantity} {item}
{wrong} {item} (- sorry, make that|- no, correction,) {quantity}
~{wrong} {item} (scratch that, {quantity} it is)
""")
ITEM_ALONE = lines("""
(the|some|these) {item}
{item}
(a few|several|more) {item}
~a number of {item}
~all those {item}
""")
BY = lines("""
by {due}
(no|not) later than {due}
before {due} is over
until {due}
(on {due} at the latest|for {due})
~ahead of the evening of {due}
~within the time up to {due}
""")
DAY_CORRECTED = lines("""
{day_was} - no, {due}
{day_was}, sorry, {due}
~{day_was} (wrong, {due})
""")
DUE = lines("""
(We|I) need (this|it all|everything) by {due}.
(The |Our |)deadline is {due}.
It has to be settled by {due}.
The date to keep is {due}.
(Please see to it|Please have it done) by {due}.
Latest date: {due}.
{due} would be (perfect|fine|ideal).
After {due} it is of no use to us.
Can you manage it by {due}?
~We have time until {due}, not a day longer.
~Everything must be in place on {due}.
~Our door closes on {due}, so let it be done then.
""")

# Who.

COMPANY = lines("""
(I'm|I am) (writing|asking) (for|on behalf of) {company}.
(We are|It's) {company}, by the way.
I work (for|at) {company}.
The invoice goes to {company}.
(Please bill|The customer is) {company}.
You have us on file as {company}.
We at {company} (count on you|like your service).
~{company} is the name on our account.
~Charge it to {company}.
~I order for {company} these days.
""")
PHONE = lines("""
(My|Our) number is {phone}.
(You can reach|You reach|Reach) (me|us) (on|at) {phone}.
(Please call|Call|Ring) {phone} (if anything is unclear|with questions|for details).
Call (me|us) back on {phone}.
(Phone|Tel): {phone}.
Best by phone: {phone}.
A quick call to {phone} (will do|is enough).
~{phone} gets you through to (me|us).
~Our telephone: {phone}.
~Text {phone} when it is done.
""")
INTRODUCED = lines("""
(My name is|This is|I am|I'm) {contact}.
{contact} (here|speaking|writing).
(It's|It is) {contact} (again|here).
~You are reading a message of {contact}.
~The name is {contact}.
""")
ANSWER_TO = lines("""
Please (answer|call|write to) {contact}, not me.
I am away (next week|from tomorrow), so {contact} is the one to (call|answer|ask).
{contact} (handles|takes care of) this, please (deal with|turn to) {contact}.
I only type this for {contact}, who waits for your answer.
Your contact for this is {contact}; I just pass it on.
~Direct whatever you have to say to {contact}; I am merely the messenger.
~From here on {contact} is in charge of this matter.
""")
NOT_THE_CONTACT = lines("""
{other} (recommended you|told us about you|gave me your address).
Your colleague {other} was (very kind|not much help) last time.
{other} used to do this, but has left us.
(cc: {other}|{other} gets a copy.)
The driver, {other}, knows the way.
I spoke to {other} at your office.
~It was {other} in your sales team who sent me here.
~Give my regards to {other} in your warehouse.
""")
HEAD_FROM = lines("""
From: {contact} ({company})
From: {contact}, {company}
From: {contact}
Sender: {contact}
~Von: {contact}, {company}
""")
HEAD_FROM_ALONE = lines("""
From: {contact}
Sender: {contact}
~Written by: {contact}
""")
SIGNED = lines("""
{contact}
{contact}
{contact}
{first}
- {contact}
~/{contact}
""")
ROLE = lines("""
(Office|Site|Purchasing|Operations) manager
(Head of|Assistant,) (purchasing|facilities|events)
(Owner|Caretaker|Secretary)
~(Quartermaster|Bursar|Trainee)
""")
SIGNED_COMPANY = lines("""
{company}
{company}
for {company}
~on behalf of {company}
""")
SIGNED_PHONE = lines("""
{phone}
(Tel.|Phone|Mobile|T:|Call) {phone}
~Landline {phone}
""")
FAREWELL = lines("""
(Best|Kind|Warm) regards,
Regards,
(Many thanks|Thanks|Thank you),
(Cheers|Bye|All the best),
Yours (sincerely|faithfully),
(Thanks in advance|With thanks),
~Have a good week,
~Until soon,
~Gratefully,
""")

# Around it.

GREETING = lines("""
(Hi|Hello|Hey)(| there| all| team),
(Good morning|Good afternoon|Good evening)(,|!)
Dear (team|all|Sir or Madam|friends),
To whom it may concern,
(Morning|Afternoon|Evening)!
~Greetings,
~(Dear colleagues|Ahoy),
~Good day to you,
""")
OPENING = lines("""
I hope (you are well|this finds you well|you had a good weekend).
(Thanks|Thank you) for (your quick answer|the catalogue|last time).
(Just a quick one|A small thing|One request) from us.
We have been customers for years.
I found you in the (trade directory|phone book).
Sorry to bother you.
It is that time of the year again.
~May your day be calmer than ours.
~A short note between two meetings.
~You will remember us from the fair.
""")
URGENT = lines("""
(This is|It is) (urgent|very urgent|really urgent).
(Please hurry|Please treat this as urgent).
We need this (ASAP|as soon as possible|as fast as you can).
It can't wait.
(Urgent|Top priority), please.
Every hour counts.
~Please drop everything else for this.
~Speed is everything here.
""")
PATIENT = lines("""
(No rush|There is no hurry)(.| at all.)
(It is not urgent|This is not urgent).
Take your time.
~It does not press.
~We are in no haste.
""")
ANGRY = lines("""
Your service is (a joke|a disgrace|getting worse every month).
I am (tired|sick) of (waiting|writing to you).
This is the (third|fourth|last) time I (ask|write).
(Nobody|No one) ever (answers|picks up) at your end!
I am (not amused|furious|very disappointed).
Do you people read your mail at all?
~What on earth is going on over there?
~My patience has run out.
""")
CHAT = lines("""
We (really |)liked the (last delivery|quality).
The (weather|traffic) here is (awful|lovely) (today|this week).
(Looking forward to|We wait for) your answer.
You have always been (helpful|fair) to us.
Please confirm.
The back door is open (all day|from seven).
I hope that is (clear|all you need).
~Our cat says hello, too.
~Kindly drop us a line in any case.
""")
MISLEADING = lines("""
(Our|My) last (order|delivery) was on {past}.
(This is about|It concerns|See) (order|case|reference) {ref}.
Invoice {ref} of {past} is paid.
{rival} (was cheaper|wants our business, too|could not help us).
We have been customers since {past}.
(Your|The) catalogue of {past} (is before me|lists them).
We used to (buy from|deal with) {rival}.
Please put {ref} on the invoice.
~Thank you for your letter of {past}, filed here under {ref}.
~{rival} let us down badly.
~I think I wrote on {past} already.
""")
SUBJECTS = lines("""
(Request|Question|Our request|Please read|A question)
{item}
(Re: |About ){item}
Reference {ref}
(none)
~(Regarding|Concerning) {item}
~A matter of {item}
""")

# Answers to an answer.

QUOTE_HEAD = lines("""
On {past}, {agent} wrote:
{agent} wrote:
-----Original message-----
On {past} you wrote:
~{agent}, {past}:
""")
QUOTED_QUESTION = lines("""
(Just to check|To be sure): you (want|would like) to {do}{by}?
Did I understand that you (want|wish) to {do}{by}?
Dear customer,\\nyou would like to {do}{by}, is that right?
So the wish is to {do}{by}. Please confirm.
~May I note down that your side wants to {do}{by}?
~You told us on the phone that you mean to {do}{by}. Is that so?
""")
CONFIRMED = lines("""
(Yes|Yes, exactly|Correct|That is right|Right), (please go ahead|go ahead|that is what I want).
(Yes, that's right|Exactly|Confirmed).
You understood (me|us) correctly.
Yes please!
~Just so, and nothing else.
~I can only say yes to that.
""")
QUOTED_OLD = lines("""
We have noted {old} {item} for {old_day}.
You asked about {old} {item} for {old_day}. Is that still so?
Our records say {old} {item}.\\nWould {old_day} suit you?
Last time it was {old} {item} on {old_day}.
~Our list shows {old} pieces, to be handled on {old_day}.
""")
QUOTED_NUMBER = lines("""
We have noted {old} {item}.
You asked about {old} {item}. Is that still so?
Our records say {old} {item}.\\nIs this correct?
~Our list shows {old} pieces.
""")
QUOTED_CHAT = lines("""
How can we help you?
Thank you for your message of {past}.\\nWhat can we do for you?
Please tell us what you need. Your case is {ref}.
~We are at your service at any hour.
""")

# Web forms.

LABELS = {
    "contact": lines("""
Name
(Your name|Full name|Contact)
(Requested by|Customer name)
~Person to contact
"""),
    "company": lines("""
Company
(Organisation|Firm|Business)
~Employer
"""),
    "phone": lines("""
Phone
(Tel|Telephone|Mobile|Call back on)
~Number for calls
"""),
    "due": lines("""
(Due|Date|Deadline)
(Needed by|Wanted by|Required by)
~Finish by
"""),
}
TICKET_HEAD = lines("""
Ticket {ref}
(Case|Request) {ref}, opened {past}
(Web form|Contact form), {past}
Ticket: {ref}\\nAgent: {agent}
~Incident {ref} / clerk {agent}
""")

# Notes of calls.

NOTE_HEAD = lines("""
(Call|Phone) note, {past}
Call taken by {agent}
Call {ref}, {past}, {agent}
Note for {agent}:
~Heard on the line by {agent}:
""")
NOTE_CALLER_FIRM = lines("""
{contact} (from|of) {company} (rang|called|phoned).
(Caller|Who): {contact} ({company})
(Spoke to|Talked to|Call from) {contact}, {company}.
~{contact} was on the line for {company}.
""")
NOTE_CALLER = lines("""
{contact} (rang|called|phoned).
(Caller|Who|Name): {contact}
(Spoke to|Talked to|Call from) {contact}.
Please get back to {contact}.
~{contact} was on the line.
""")
NOTE_NOBODY = lines("""
(Caller|Someone|A customer) did not (give|leave) a name.
A (man|woman|customer) (rang|called) (this morning|just now|at noon).
Anonymous call.
~A voice without a name was on the line.
""")
NOTE_WISH = lines("""
(Wants|Would like|Wishes|Asks) to {do}{by}.
(Called|Rang) to {do}{by}.
(Hopes|Plans|Needs) to {do}{by}.
Reason for the call: to {do}{by}.
(Says they want|Said they would like) to {do}{by}.
The wish is to {do}{by}.
Asked if they can {do}{by}.
~Keen to {do}{by}.
~It is all about this: to {do}{by}.
~Insisted that they must {do}{by}.
""")
NOTE_COMPANY = lines("""
(Company|Firm|Customer): {company}.
(Works for|Calling for|Rang for) {company}.
~Employed at {company}.
""")
NOTE_PHONE = lines("""
(Call back on|Number:|Phone:|Tel.) {phone}.
(Left|Gave) the number {phone}.
(To be reached on|Please ring back:) {phone}.
~{phone} is where to ring.
""")
NOTE_URGENT = lines("""
(Urgent!|Said it is urgent.|Very urgent.)
(Needs this ASAP.|In a great hurry.|It cannot wait.)
~Was pressing us to be fast.
""")
NOTE_PATIENT = lines("""
(No hurry.|Said it is not urgent.|Has time.)
~In no haste.
""")
NOTE_MISLEADING = lines("""
Had (bought|ordered) from us on {past}.
Mentioned (invoice|order) {ref}.
Complained about {rival}.
Was sent to us by {other}.
First asked for {other}, who is on leave.
~Went on at length about {rival} and the {past} fair.
""")

# A few words.

TERSE = lines("""
need to {do}{by}
{do}{by} (pls|please|thx)
(want|wanna|have) to {do}{by}
can (i|we) {do}{by}?
(pls|please) help, must {do}{by}
to do for you: {do}{by}
~got to {do}{by}
~mission: {do}{by}
""")
TERSE_REQUEST = {
    "order": lines("""
need {what}{by}
{what} (pls|please){by}
order: {what}{by}
~send over {what}{by}
"""),
    "quote": lines("""
{what}{by} - how much?
price for {what}{by}?
need a quote: {what}{by}
~cost of {what}{by}?
"""),
    "return": lines("""
{what} broken, going back to you{by}
returning {what}{by}
want my money back: {what}{by}
~dont want {what}, collect them{by}
"""),
    "repair": lines("""
{what} broken, come and fix{by}
need a repair{by}: {what}
{what} (dead|not working), repair{by}?
~mend {what}{by}
"""),
    "cancel": lines("""
cancel {what}{by}
dont send {what}, order cancelled{by}
stop the order{by}: {what}
~no more need for {what}, cancelled{by}
"""),
}
TERSE_FACTS = {
    "due": lines("""
(by|until|for) {due}
deadline {due}
~on {due} sharp
"""),
    "contact": lines("""
{contact}
(this is|im|its|from) {contact}
({contact} here|name {contact})
~signed {contact}
"""),
    "company": lines("""
{company}
(for|at|from) {company}
~bill {company}
"""),
    "phone": lines("""
{phone}
(call|tel|my no|ring) {phone}
~dial {phone}
"""),
}
TERSE_URGENT = lines("""
(urgent|URGENT|asap|ASAP|hurry)(| pls| please|!!)
(its|this is) urgent
~quick quick
""")
TERSE_CHAT = lines("""
(no rush|not urgent|thx|ok?)
~whenever
""")
TERSE_HELLO = lines("""
(hi|hey|hello|yo|morning)
~good day
""")
