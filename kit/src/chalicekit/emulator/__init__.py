"""An AWS that runs on this machine: MiniStack, made as strict as AWS."""
