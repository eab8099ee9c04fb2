"""The English words that are not searched for: they stand in nearly every abstract."""

# Articles, pronouns and demonstratives; conjunctions and prepositions; auxiliaries; quantities.
_WORDS = """
a an the i me my we us our ours you your he him his she her hers it its they them their theirs
this that these those who whom whose which what itself themselves

and or and/or but nor if then than so as at by for from in into of off on onto to with without
within upon about between through during because while where when why how

am is are was were be been being do does did doing have has had having can could may might must
shall should will would cannot cant dont doesnt didnt isnt arent wasnt werent hasnt havent hadnt
wont wouldnt couldnt shouldnt

there here all any both each few more most other some such only own same too very just not no also
etc ie eg
"""

STOP_WORDS = frozenset(_WORDS.split())
