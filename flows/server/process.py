"""The process of Prefect's temporary server: `python -P process.py SOCKET FOLDER`.

It ends with the process that started it, whose end closes its standard input, and removes its folder. Run as a file, it
imports nothing of ours.
"""

import os
import shutil
import sys
from threading import Thread

APP = "prefect.server.api.server:create_app"


def end_with_input(folder: str) -> None:
    """Wait until standard input closes; remove the folder, and end this process."""
    sys.stdin.buffer.read()
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


def main(socket: int, folder: str) -> None:
    """Serve on a listening socket, given by its number."""
    Thread(target=end_with_input, args=(folder,), daemon=True).start()
    import uvicorn

    uvicorn.run(APP, factory=True, fd=socket, log_level="error", lifespan="on")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
