# SPDX-License-Identifier: Apache-2.0
"""Workers: processes of this machine, or a Dask cluster that the user names."""
import argparse
import contextlib
import logging
import os
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from int4q.installation import PACKAGE
from int4q.lab.base.errors import Error, one_line

T = TypeVar("T")
SETTINGS = {"distributed.scheduler.allowed-failures": 10, "distributed.admin.large-graph-warning-threshold": "2GB"}


def processors() -> int:
    """Those that this process may use: by its affinity, and by the limits of a container."""
    from dask.system import cpu_count
    return int(cpu_count())


def add_worker_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster (default: workers on this machine)")
    parser.add_argument("-j", "--workers", type=int, default=processors(), metavar="N",
                        help="processes on this machine, of one thread each (one a processor)")


def own_cluster(count: int) -> Any:
    import distributed
    return distributed.LocalCluster(n_workers=count, threads_per_worker=1, processes=True, dashboard_address=":0",
                                    memory_limit=0, silence_logs=logging.CRITICAL)


def pack(folder: str) -> str:
    """Path of a zip file of this package, made in the folder."""
    path = os.path.join(folder, "int4q.zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(PACKAGE.rglob("*.py")):
            archive.write(file, file.relative_to(PACKAGE.parent))
    return path


def forget_package() -> None:
    """For what an earlier client sent."""
    for name in [n for n in sys.modules if n.split(".")[0] == "int4q"]:
        del sys.modules[name]


def join_cluster(address: str) -> Any:
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
def workers(scheduler: str | None, count: int) -> Iterator[Any]:
    """A Dask client: of the scheduler that the user names, or of processes of our own. Its tasks survive their worker."""
    import dask
    import distributed  # takes a second, and most calls of the scripts need none of it
    for handler in logging.getLogger("distributed").handlers:
        handler.setLevel(logging.CRITICAL)
    with contextlib.ExitStack() as stack:
        stack.enter_context(dask.config.set(SETTINGS))
        if scheduler:
            yield stack.enter_context(join_cluster(scheduler))
        else:
            yield stack.enter_context(distributed.Client(stack.enter_context(own_cluster(count))))


def given(value: T) -> T:
    """As a task it is a value that survives every worker, since the scheduler has it; what is scattered does not."""
    return value


def finished(futures: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
    """(future, result) of Dask's futures, in the order in which they end. A failure ends all of it."""
    import distributed
    for future in distributed.as_completed(futures):
        try:
            yield future, future.result()
        except distributed.KilledWorker as error:
            raise Error(f"workers die of it: {one_line(error)}") from error
        except distributed.client.FutureCancelledError as error:
            raise Error(f"Dask lost a task: {one_line(error)}") from error
