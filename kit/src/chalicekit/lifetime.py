"""End a program when the command that started it ends."""

import os
import signal
import sys
import threading
import time


def end_with_parent() -> None:
    """Turn the end of the parent process, or of its terminal, into a SIGTERM for this process.

    Otherwise a server outlives a `make` that is killed, and a closed terminal (SIGHUP) ends it
    before it can clean up. SIGTERM raises SystemExit, unless a server library handles it.

    Call this in the main thread, before anything else handles these signals.
    """
    parent = os.getppid()

    def terminate(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    def watch_parent() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        terminate()

    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # nohup ignores it
        signal.signal(signal.SIGHUP, terminate)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    threading.Thread(target=watch_parent, daemon=True).start()
