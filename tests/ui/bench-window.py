"""bench-window.py PROGRAM FOLDER: how soon the window can be used, and how much memory it takes,
with no history and with the one in FOLDER, which bench-history makes. Run it by with-desktop:

    ninja -C build tests/app/bench-history && build/tests/app/bench-history /tmp/history
    GSETTINGS_SCHEMA_DIR=build/data tests/ui/with-desktop python3 tests/ui/bench-window.py \
        build/tests/ui/fake-allava /tmp/history
"""

import os
import shutil
import statistics
import subprocess
import sys
import time

import desktop
from desktop import App, press, wait, write

ROUNDS = 7


def memory(app):
    with open(f"/proc/{app.process.pid}/status") as file:
        line = next(line for line in file if line.startswith("RssAnon"))
    return int(line.split()[1]) / 1024


def run(history):
    """Milliseconds until it is usable, MiB then."""
    desktop.forget()
    folder = os.path.join(os.environ["XDG_DATA_HOME"], "allava")
    if history:
        shutil.copytree(history, folder)
    start = {"ALLAVA_TEST_START": str(time.monotonic_ns() // 1000), "ALLAVA_TEST_BEAT": "1"}
    with App(env=start) as app:
        usable = float(wait(lambda: app.read().partition("usable ")[2], "the window").split()[0])
        figures = [usable, memory(app)]
        if history:
            look_around(app, figures)
    shutil.rmtree(folder)
    return figures


def look_around(app, figures):
    """Adds the memory after the end of the list, after a search, and the longest stall meanwhile."""
    subprocess.run(["gapplication", "action", "org.allava.Allava", "reset-beat"], check=True)
    wait(lambda: "reset" in app.read(), "the clock to be reset")
    press("F9")
    app.wait_focus("list item", "^Conversation 9999")
    press("End")
    app.wait_focus("list item", "^Conversation 0,")
    figures.append(memory(app))
    press("ctrl+f")
    write("w19")
    app.find("list item", "^Conversation .*: .*w19")
    figures.append(memory(app))
    figures.append(float(app.read().split("reset")[1].split()[-2]))


def main():
    desktop.Atspi.init()
    empty, full = [], []
    for _ in range(ROUNDS):
        empty.append(run(None))
        full.append(run(sys.argv[2]))
    rows = [[statistics.median(column) for column in zip(*table)] for table in (empty, full)]
    print("                 usable   memory   at the list's end   after a search   longest stall")
    print("no history    {:6.0f} ms {:4.0f} MiB".format(*rows[0]))
    print("full history  {:6.0f} ms {:4.0f} MiB {:15.0f} MiB {:12.0f} MiB {:12.0f} ms".format(*rows[1]))


main()
