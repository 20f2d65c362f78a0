"""Takes the pictures of the window: those in data/screenshots, and with --every of other states, to be looked at.

    tests/ui/with-desktop python3 tests/ui/take-screenshots.py BUILD/ui/allava data/screenshots [--every]

GSETTINGS_SCHEMA_DIR must name BUILD/data. Needs what the window's tests need, ImageMagick and xprop. The answers are
the bundled model's.
"""

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager

import desktop
from desktop import App, press, wait, write

EXAMPLE = os.path.abspath(os.path.join(os.path.dirname(__file__), "../../data/example.png"))
OUT = os.path.abspath(sys.argv[2])
DARK = {"ADW_DEBUG_COLOR_SCHEME": "prefer-dark"}
CONTRAST = {"ADW_DEBUG_HIGH_CONTRAST": "1"}
LARGE_TEXT = "Xft.dpi: 192"  # twice as large
FRAME = 5  # that GTK draws around a window where nothing composites


def shoot(app, name):
    """The window as it is once nothing on it changes any more."""
    path, before = os.path.join(OUT, name + ".png"), b""

    def still():
        nonlocal before
        last, before = before, subprocess.run(
            ["convert", f"x:{app.xid}", "-shave", f"{FRAME}x{FRAME}", "-strip", "png:-"],
            check=True,
            capture_output=True,
        ).stdout
        return last == before

    desktop.xdotool("mousemove", 1279, 999)
    wait(still, "the window to be still")
    with open(path, "wb") as file:
        file.write(before)
    print(path, flush=True)


@contextmanager
def conversation(env, width=970, height=710, resources=""):
    desktop.forget()
    name = "RESOURCE_MANAGER"
    subprocess.run(["xprop", "-root", "-format", name, "8s", "-set", name, resources], check=True)
    picture = shutil.copy(EXAMPLE, os.environ["HOME"])
    with App(picture, env=env) as app:
        app.resize(width + 2 * FRAME, height + 2 * FRAME)
        app.ask("What is in this picture?")
        app.answer("star")
        app.ask("Where is the star?")
        app.answer("right")
        yield app


def look_around(app, name):
    """Other states of the same window."""
    press("F9")
    shoot(app, f"{name}-sidebar")
    press("ctrl+f")
    write("star")
    shoot(app, f"{name}-search")
    press("Escape", "ctrl+n")
    shoot(app, f"{name}-empty")


def dialogs(env, name):
    with conversation(env) as app:
        for keys, state in (("ctrl+comma", "preferences"), ("ctrl+question", "shortcuts")):
            known = set(windows())
            press(keys)
            other = wait(lambda: set(windows()) - known, "another window").pop()
            main, app.xid = app.xid, other
            shoot(app, f"{name}-{state}")
            app.xid = main
            desktop.xdotool("windowfocus", other)
            press("Escape")
            app.focus()


def windows():
    return subprocess.run(
        ["xdotool", "search", "--onlyvisible", "--class", "allava"], capture_output=True, text=True
    ).stdout.split()


def main():
    desktop.Atspi.init()
    for name, env, size in (
        ("light", {}, (970, 710)),
        ("dark", DARK, (970, 710)),
        ("narrow", {}, (360, 630)),
    ):
        with conversation(env, *size) as app:
            shoot(app, name)
    if "--every" not in sys.argv:
        return
    for name, env, size, resources in (
        ("contrast", CONTRAST, (970, 710), ""),
        ("contrast-dark", CONTRAST | DARK, (970, 710), ""),
        ("large-text", {}, (970, 710), LARGE_TEXT),
        ("large-text-narrow", {}, (360, 630), LARGE_TEXT),
        ("full", {}, (1270, 990), ""),
    ):
        with conversation(env, *size, resources) as app:
            shoot(app, name)
            look_around(app, name)
    for name, env in (("light", {}), ("dark", DARK)):
        dialogs(env, name)


main()
