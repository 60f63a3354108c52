"""The random draw of inspection targets and inspectors (双随机抽查): what announcer, drawer and verifier share.

Read in this order: `plan` (what is to be drawn), `register` (from whom), `frame` (who belongs to which stratum),
`allocation` (how many), `seed` (how chance comes about), `tickets` (which targets), `inspectors` (who visits
them), `documents` (what is signed and published), `chain` (that nothing was drawn twice or left out).
"""
