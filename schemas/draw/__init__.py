"""The random draw of inspection targets and inspectors (双随机抽查): the rules that announcer, drawer and verifier share.

Read in this order: `plan` (the plan of one draw), `registers` (the port to the registers), `strata` (populations and
counts), `seed` (the source of chance), `tickets` (the drawn targets), `inspectors` (their visitors), `documents` (the
signed papers), `replacement` and `aftermath` (changes after a draw), `annual` (the plan of a year).
"""
