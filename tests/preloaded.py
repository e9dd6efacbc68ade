"""Runs `cnnexplain`, and Python scripts, in forks of a process that has imported all that they import before.

To the shell it is a program as any other: a process of its own, with the caller's folder, environment, standard
streams and exit code. Only the seconds that the imports take are spent once instead of a hundred times.

    python preloaded.py SOCKET           serves
    python -IS preloaded.py SOCKET WORDS...   asks for one run: `cnnexplain …` or `python FILE`
"""

import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import sys


def ask(address, words):
    """Have the server run the words as this process would; end as they do."""
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(address)
        request = {"words": words, "folder": os.getcwd(), "environment": dict(os.environ)}
        socket.send_fds(link, [json.dumps(request).encode()], [0, 1, 2])
        link.shutdown(socket.SHUT_WR)
        answer = link.recv(1)
    sys.exit(answer[0] if answer else "preloaded.py: the program ended without a word")


def serve(address):
    """Answer every call with a fork, until killed."""
    _import_all()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(address)
        door.listen()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            link, _ = door.accept()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _answer(link)
            link.close()


def _import_all():
    """Import what a run imports, on the way too, and keep the collector from touching what forks share."""
    for name in ("timm", "torchvision", "typer._adapters", "pydantic.types", "rich.table"):
        importlib.import_module(name)
    import cnnexplain

    for module in pkgutil.walk_packages(cnnexplain.__path__, "cnnexplain."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    from PIL import Image

    Image.init()
    gc.collect()
    gc.freeze()


def _answer(link):
    code = 70
    try:
        data, streams, _, _ = socket.recv_fds(link, 1 << 20, 3)
        while more := link.recv(1 << 20):
            data += more
        request = json.loads(data)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        places = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        sys.path[:0] = [place for place in places if place and place not in sys.path]
        code = _run(*request["words"])
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        link.send(bytes([code]))
        os._exit(code)


def _run(program, *words):
    if program == "cnnexplain":
        from cnnexplain.cli.app import run

        sys.argv = [program, *words]
        try:
            return run(words)
        except SystemExit as end:  # of typer's, which shows completions
            return int(end.code or 0)
    with open(words[0], encoding="utf-8") as file:
        source = file.read()
    sys.path.insert(0, os.path.dirname(os.path.abspath(words[0])))
    try:
        exec(compile(source, words[0], "exec"), {"__name__": "__main__"})  # noqa: S102
    except SystemExit as end:
        return int(end.code or 0)
    except Exception:  # noqa: BLE001 - as Python itself does
        import traceback

        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    if len(sys.argv) > 2:
        ask(sys.argv[1], sys.argv[2:])
    serve(sys.argv[1])
