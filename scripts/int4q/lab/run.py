# SPDX-License-Identifier: Apache-2.0
"""What the scripts of the experiment loop share: the tool, files that appear whole, results that survive, workers."""
import contextlib
import hashlib
import json
import logging
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile

import numpy as np
import onnx
import onnxruntime
from int4q.lab.detectors import Error, one_line

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SCRIPTS = os.path.dirname(PACKAGE)
ROOT = os.path.dirname(SCRIPTS)
TMP = os.path.join(ROOT, "tmp")


# ---- Errors

@contextlib.contextmanager
def user_errors(name):
    """Ends the script with one line where the user can do something about it."""
    try:
        yield
    except Error as error:
        sys.exit(f"{name}: {error}")
    except OSError as error:
        sys.exit(f"{name}: {error.filename}: {error.strerror}" if error.filename else f"{name}: {one_line(error)}")
    except KeyboardInterrupt:
        sys.exit(f"{name}: interrupted; what is done is kept, the same command goes on")


# ---- The tool

def add_tool_option(parser):
    parser.add_argument("--int4q", metavar="PROGRAM", help="the tool (default: $INT4Q, build/release/int4q, or in PATH)")


def find_int4q(wanted=None):
    """Path of the tool."""
    wanted = wanted or os.environ.get("INT4Q")
    built = os.path.join(ROOT, "build", "release", "int4q")
    found = shutil.which(wanted) if wanted else built if os.access(built, os.X_OK) else shutil.which("int4q")
    if not found:
        raise Error(f"{wanted}: no such program" if wanted else f"no int4q at {built} or in PATH; build it, or --int4q")
    return os.path.abspath(found)


def call_int4q(tool, *args, statuses=(0,)):
    """Standard output of the tool; its own line of error becomes ours."""
    done = subprocess.run([tool, *map(str, args)], capture_output=True, text=True, check=False)
    if done.returncode not in statuses:
        raise Error(one_line(done.stderr) or f"{tool} {args[0]}: ended with {done.returncode}")
    return done.stdout


def tool_version(tool):
    return call_int4q(tool, "--version").splitlines()[0]


def versions(tool):
    """Of everything that a result depends on."""
    return {"int4q": tool_version(tool), "python": platform.python_version(), "numpy": np.__version__,
            "onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__}


# ---- Files

def digest(*parts):
    """Hexadecimal SHA-256 of the JSON of these values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def make_folder(path):
    os.makedirs(path, exist_ok=True)
    return path


def write_whole(path, data):
    """Write bytes or text under another name and move it into place."""
    make_folder(os.path.dirname(os.path.abspath(path)))
    temporary = f"{path}.{os.getpid()}.tmp"
    try:
        with open(temporary, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def write_json(path, data):
    write_whole(path, json.dumps(data, indent=1, ensure_ascii=False) + "\n")


def read_json(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except OSError as error:
        raise Error(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise Error(f"{path}: not JSON: {one_line(error)}") from error


def shown(value, form=".2f"):
    """A number as people read it; nothing where there is none."""
    return "" if value is None else format(value, form)


class Journal:
    """Finished results, a line of JSON each, on the disk as soon as they are known.

    A line that a killed program left half written is dropped when the file is opened again.
    """

    def __init__(self, path):
        self.path, self.rows = path, []
        make_folder(os.path.dirname(os.path.abspath(path)))
        kept = b""
        if os.path.exists(path):
            with open(path, "rb") as file:
                kept = file.read()
        whole = kept[:kept.rfind(b"\n") + 1]
        if whole != kept:
            write_whole(path, whole)
        self.rows = [json.loads(line) for line in whole.splitlines()]

    def add(self, row):
        self.rows.append(row)
        with open(self.path, "ab") as file:
            file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


# ---- Workers

SETTINGS = {"distributed.scheduler.allowed-failures": 10, "distributed.admin.large-graph-warning-threshold": "2GB"}


def add_worker_options(parser):
    parser.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster (default: workers on this machine)")
    parser.add_argument("-j", "--workers", type=int, default=os.cpu_count(), metavar="N",
                        help="processes on this machine, of one thread each (one a processor)")


def own_cluster(args):
    import distributed
    return distributed.LocalCluster(n_workers=args.workers, threads_per_worker=1, processes=True, dashboard_address=":0",
                                    memory_limit=0, silence_logs=logging.CRITICAL)


def pack(folder):
    """Path of a zip file of this package, made in the folder."""
    path = os.path.join(folder, "int4q.zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(pathlib.Path(PACKAGE).rglob("*.py")):
            archive.write(file, file.relative_to(SCRIPTS))
    return path


def forget_package():
    """For what an earlier client sent."""
    for name in [n for n in sys.modules if n.split(".")[0] == "int4q"]:
        del sys.modules[name]


def join_cluster(address):
    """A client of the user's scheduler, which with all its workers, those that come later included, has our package."""
    import distributed
    try:
        client = distributed.Client(address, timeout=20)
    except (OSError, ValueError, TimeoutError) as error:
        raise Error(f"{address}: no Dask scheduler: {one_line(error)}") from error
    with tempfile.TemporaryDirectory() as folder:
        client.upload_file(pack(folder))
    client.run(forget_package)
    client.run_on_scheduler(forget_package)
    if not client.scheduler_info(n_workers=-1)["workers"]:
        print(f"{address}: no workers yet; waiting for one", file=sys.stderr)
    return client


@contextlib.contextmanager
def workers(args):
    """A Dask client: of the scheduler that the user names, or of processes of our own. Its tasks survive their worker."""
    import dask
    import distributed  # takes a second, and most calls of the scripts need none of it
    for handler in logging.getLogger("distributed").handlers:
        handler.setLevel(logging.CRITICAL)
    with contextlib.ExitStack() as stack:
        stack.enter_context(dask.config.set(SETTINGS))
        if args.scheduler:
            yield stack.enter_context(join_cluster(args.scheduler))
        else:
            yield stack.enter_context(distributed.Client(stack.enter_context(own_cluster(args))))


def given(value):
    """As a task it is a value that survives every worker, since the scheduler has it; what is scattered does not."""
    return value


def finished(futures):
    """(future, result) of Dask's futures, in the order in which they end. A failure ends all of it."""
    import distributed
    for future in distributed.as_completed(futures):
        try:
            yield future, future.result()
        except distributed.KilledWorker as error:
            raise Error(f"workers die of it: {one_line(error)}") from error
        except distributed.client.FutureCancelledError as error:
            raise Error(f"Dask lost a task: {one_line(error)}") from error
