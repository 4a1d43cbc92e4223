# SPDX-License-Identifier: Apache-2.0
"""Processes that are killed, and a Dask cluster of them, for the tests of the scripts that spread their work."""
import json
import os
import subprocess
import sys
import time

import distributed
from helpers import ROOT

SCRIPTS = os.path.join(ROOT, "scripts")


def wait_for(done, folder, process=None, seconds=300):
    """Until done() is true; what the processes said, if it never is."""
    end = time.monotonic() + seconds
    while not done():
        said = {log.name: log.read_text()[-1000:] for log in folder.glob("*.log")}
        assert time.monotonic() < end and (process is None or process.poll() is None), f"no results: {said}"
        time.sleep(0.01)


def start(folder, name, *args, **more):
    """A Python process; what it says goes to folder/name.log."""
    with open(folder / f"{name}.log", "wb") as log:
        return subprocess.Popen([sys.executable, *map(str, args)], stdout=log, stderr=log, **more)


class Cluster:
    """A Dask scheduler and workers as on other machines: our scripts are not in their path."""

    def __init__(self, folder):
        self.folder, self.processes = folder, []
        self.environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        self.file = folder / "scheduler.json"
        self.start("scheduler", "--host", "127.0.0.1", "--port", "0")
        wait_for(lambda: self.address, folder, self.processes[0])

    @property
    def address(self):
        """None until the scheduler has written all of its file."""
        try:
            return json.loads(self.file.read_text())["address"]
        except (OSError, ValueError):
            return None

    def start(self, kind, *args):
        process = start(self.folder, f"{kind}{len(self.processes)}", "-m", f"distributed.cli.dask_{kind}", "--scheduler-file",
                        self.file, "--no-dashboard", *args, cwd=self.folder, env=self.environment)
        self.processes.append(process)
        return process

    def start_worker(self):
        return self.start("worker", "--nthreads", "1", "--no-nanny", "--local-directory", self.folder)

    def workers(self):
        with distributed.Client(self.address) as client:
            return len(client.scheduler_info(n_workers=-1)["workers"])

    def run(self, name, *args):
        """One of our scripts, on the workers; what it says goes to NAME.log."""
        process = start(self.folder, name, os.path.join(SCRIPTS, f"{name}.py"), *args, "--scheduler", self.address)
        self.processes.append(process)
        return process

    def stop(self):
        for process in self.processes:
            process.kill()
            process.wait()
