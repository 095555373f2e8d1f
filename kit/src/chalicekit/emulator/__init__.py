"""An AWS that runs on this machine: MiniStack, made as strict as AWS.

The modules replace functions of MiniStack 1.5.33 and depend on its internals. They follow AWS's
documentation and responses that others have recorded; nothing was compared with AWS itself. What
remains different is in the kit's README, "What the emulated AWS does not do".
"""
