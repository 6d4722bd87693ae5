"""Words that say nothing about what a prompt is about, in English."""

_WORDS = """
a about above according after again against agent all along also always among an and any anyone are around as ask
asked at away be because been before being below best between both bring brief but by call can cannot check chose
choose close clear come complete could deeply describe did do does doing done don't down during each either else
enough etc every exactly example explain explained explains few find first following for found from full fully
further gap get give given gives go good had has have having he her here hers him his how however i if in inside
instead into is it its itself just keep kind know known last least less let like list little long look looking made
make makes making many may me mean means might mine more most much must my name need needed needs neither never new
next no nobody none nor not note nothing now of off often on once one only open or other otherwise our ours out over
own part partial partly per perhaps please possible prompt put question questions quite rather read really reply
report requirement result return returns right said same say says see seem several shall she short should show shown
since so some somebody something somewhere soon state step still such summarise summarize summary sure take taken
tell than that the their theirs them then there these they thing things think this those through thus to together
too toward towards true under until up upon us use used useful user users uses using very want wants was way ways we
well were what when where whether which while who whole whom whose why will with within without word words work
works would write written yes yet you your yours answer answered answers documentation docs doc document documented
documents documentation's evidence file files directory folder repository project obviousness newcomer reader
readers sentence sentences set sets line lines text page pages
zero two three four five six seven eight nine ten
"""

STOP_WORDS = frozenset(_WORDS.split())
