"""Drives the real window through AT-SPI, xdotool and files, and tells Meson in TAP.

Every wait is for a condition, with a deadline that only a failure reaches.
"""

import fcntl
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from contextlib import contextmanager

import gi

gi.require_version("Atspi", "2.0")
gi.require_version("GdkPixbuf", "2.0")
from gi.repository import Atspi, GdkPixbuf, GLib  # noqa: E402

DEADLINE = float(os.environ.get("ALLAVA_TEST_DEADLINE", 60))


class Failure(AssertionError):
    pass


class Skip(Exception):
    pass


def wait(condition, what, seconds=DEADLINE):
    """The first true value of condition()."""
    end = time.monotonic() + seconds
    while True:
        try:
            value = condition()
        except GLib.Error:  # something went away while it was looked at
            value = None
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f"waited in vain for {what}")
        time.sleep(0.03)


def xdotool(*arguments):
    return subprocess.run(
        ["xdotool", *map(str, arguments)], check=True, capture_output=True, text=True, timeout=DEADLINE
    ).stdout


def press(*keys):
    xdotool("key", "--clearmodifiers", "--delay", "8", *keys)


def write(text):
    xdotool("type", "--delay", "4", text)


def make_image(name, width=120, height=80, color=0x3584E4FF):
    path = os.path.join(os.environ["HOME"], name)
    pixbuf = GdkPixbuf.Pixbuf.new(GdkPixbuf.Colorspace.RGB, False, 8, width, height)
    pixbuf.fill(color)
    pixbuf.savev(path, "png", [], [])
    return path


@contextmanager
def image_being_read():
    """Its path, and what lets it be read: until then opening it waits, as on a disk that stalls."""
    path = make_image("slow.png")
    file = os.open(path, os.O_RDWR)
    signal.signal(signal.SIGIO, signal.SIG_IGN)  # comes when the lease stands in someone's way
    try:
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except OSError:
        raise Skip("this machine lends no files") from None
    try:
        yield path, lambda: fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    finally:
        os.close(file)
        os.unlink(path)


def walk(node, showing=True):
    """All nodes below, those on screen only unless SHOWING is False."""
    for i in range(node.get_child_count()):
        try:
            child = node.get_child_at_index(i)
        except GLib.Error:  # just gone, or not there yet
            continue
        if child is None:
            continue
        if showing and not child.get_state_set().contains(Atspi.StateType.VISIBLE):
            continue
        yield child
        yield from walk(child, showing)


def matches(node, role, name):
    if role and node.get_role_name() not in (role if isinstance(role, tuple) else (role,)):
        return False
    return name is None or re.search(name, node.get_name() or "") is not None


def has_state(node, state):
    return node.get_state_set().contains(state)


BUTTON = ("push button", "button", "toggle button", "check box", "radio button")


class App:
    """One run of the application."""

    def __init__(self, *arguments, env=None, program=None):
        self.out = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [program or sys.argv[1], *arguments],
            env={**os.environ, **(env or {})},
            stdout=self.out,
            stderr=None,
        )
        try:
            self.root = wait(self._find_root, "the application on the accessibility bus")
            self.window = wait(lambda: self.look("frame"), "the window")
            self.xid = wait(self.find_xid, "the X window")
            self.focus()
        except Exception:
            self.kill()
            raise

    def _find_root(self):
        if self.process.poll() is not None:
            raise Failure(f"the program ended with {self.process.returncode}")
        desktop = Atspi.get_desktop(0)
        for i in range(desktop.get_child_count()):
            child = desktop.get_child_at_index(i)
            if child and child.get_process_id() == self.process.pid and child.get_child_count():
                child.set_cache_mask(Atspi.Cache.NONE)
                child.clear_cache()
                return child
        return None

    def find_xid(self):
        found = subprocess.run(
            ["xdotool", "search", "--onlyvisible", "--pid", str(self.process.pid)],
            capture_output=True,
            text=True,
        ).stdout.split()
        return found[-1] if found else None

    def focus(self):
        xdotool("windowfocus", self.xid)

    def nodes(self, showing=True):
        return walk(self.root, showing)

    def look(self, role=None, name=None, showing=True):
        """The first node that fits now, or None."""
        return next((n for n in self.nodes(showing) if matches(n, role, name)), None)

    def all(self, role=None, name=None):
        return [n for n in self.nodes() if matches(n, role, name)]

    def wait(self, condition, what, detail):
        """Where it is in vain, the failure holds DETAIL(), or how the program ended."""
        try:
            return wait(condition, what)
        except Failure as failure:
            code = self.process.poll()
            more = detail() if code is None else f"the program ended with {code}"
            raise Failure(f"{failure}; {more}") from None

    def find(self, role=None, name=None):
        return self.wait(lambda: self.look(role, name), f"{role} {name!r}", self.describe)

    def gone(self, role=None, name=None):
        self.wait(
            lambda: self.look(role, name) is None, f"{role} {name!r} to go", self.describe_focus
        )

    def describe(self):
        named = ((n.get_role_name(), n.get_name()) for n in self.nodes())
        return "there are: " + ", ".join(f"{role} {name!r}" for role, name in named if name)[:2000]

    def click(self, name, role=BUTTON):
        """Presses a button through its accessible action."""
        button = wait(
            lambda: next(
                (n for n in self.all(role, name) if has_state(n, Atspi.StateType.FOCUSABLE)), None
            ),
            f"{role} {name!r}",
        )
        wait(lambda: has_state(button, Atspi.StateType.SENSITIVE), f"{name!r} to be sensitive")
        button.get_action_iface().do_action(0)
        return button

    def entry(self):
        return self.find("text", "^Your question$")

    def entry_text(self):
        text = self.entry().get_text_iface()
        return Atspi.Text.get_text(text, 0, Atspi.Text.get_character_count(text))

    def focused(self):
        """What has the focus in the window that has it."""
        windows = [self.root.get_child_at_index(i) for i in range(self.root.get_child_count())]
        windows = [w for w in windows if w]
        # GTK 4.8 does not call a dialog active; ours are modal.
        active = [w for w in windows if w.get_role_name() == "dialog"] or [
            w for w in windows if has_state(w, Atspi.StateType.ACTIVE)
        ]
        nodes = (n for w in active for n in walk(w))
        return next((n for n in nodes if has_state(n, Atspi.StateType.FOCUSED)), None)

    def wait_focus(self, role, name=None):
        def check():
            node = self.focused()
            return node if node and matches(node, role, name) else None

        return self.wait(check, f"the focus on {role} {name!r}", self.describe_focus)

    def describe_focus(self):
        node = self.focused()
        focus = f"{node.get_role_name()} {node.get_name()!r}" if node else "nothing"
        return f"the focus is on {focus}"

    def messages(self):
        return [n.get_name() for n in self.all("list item", r"^(You|Allava)\b")]

    def type(self, text):
        """Into the empty entry, which has the focus."""
        write(text)
        wait(lambda: self.entry_text() == text, "the question in the entry")

    def open_menu(self, message):
        """Of the last message, by keyboard."""
        press("ctrl+m")
        self.wait_focus("list item", message)
        press("shift+F10")
        self.wait_focus("menu item", "^Copy$")

    def ask(self, question):
        press("ctrl+l")
        self.wait_focus("text", "^Your question$")
        write(question)
        wait(lambda: question in self.entry_text(), "the question in the entry")
        press("Return")
        return self.find("list item", "^You.*: " + re.escape(question))

    def wait_chooser(self):
        """For the folder chooser that has just been asked for to take keys."""

        def is_active():
            found = subprocess.run(["xdotool", "getactivewindow"], capture_output=True, text=True)
            return found.stdout.strip() not in ("", self.xid)

        wait(is_active, "the folder chooser")

    def choose_folder(self, path):
        """In the folder chooser that has just been asked for."""

        def entry():
            return next((n for n in self.all("text", "FileChooser") if has_state(n, Atspi.StateType.FOCUSED)), None)

        def holds_path():
            text = entry().get_text_iface()
            return Atspi.Text.get_text(text, 0, Atspi.Text.get_character_count(text)).startswith(path)

        self.wait_chooser()
        self.wait(lambda: entry() or press("ctrl+l"), "the chooser's entry", self.describe_focus)
        write(path)
        wait(holds_path, "the path in the entry")
        press("Return")

    def answer(self, pattern):
        """Waits for a finished answer."""
        return self.find("list item", r"^Allava(, stopped|, failed)?(, \d of \d)?: [\s\S]*" + pattern)

    def width(self):
        return self.window.get_component_iface().get_size().x

    def resize(self, width, height):
        """With the window's invisible edges."""
        xdotool("windowsize", self.xid, width, height)
        wait(lambda: abs(self.width() - width) < 30, f"the width {width}; it is {self.width()}")

    def read(self):
        self.out.seek(0)
        return self.out.read()

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise Failure("the program did not end after SIGTERM") from None
        if self.process.returncode != 0:
            raise Failure(f"the program ended with {self.process.returncode}")

    def kill(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            self.close()
        else:
            self.kill()


def move_to_target(app):
    xdotool("mousemove_relative", 1, 0)
    return app.look("label", "^Drop Images Here$")


def drag(app, what, *files):
    """A real drag, with the pointer, from another program's window."""
    source = subprocess.Popen([sys.argv[2], what, *files])
    window = wait(
        lambda: subprocess.run(
            ["xdotool", "search", "--onlyvisible", "--name", "^drag-source$"],
            capture_output=True,
            text=True,
        ).stdout.split(),
        "the window to drag from",
    )[-1]
    xdotool("windowmove", app.xid, 0, 0)
    xdotool("windowmove", window, 1120, 800)
    wait(lambda: "X=1120" in xdotool("getwindowgeometry", "--shell", window), "it to move")
    xdotool("mousemove", 1180, 860, "mousedown", 1)
    # In steps, as a hand does it, until the window says where to drop.
    for x, y in ((1170, 850), (1150, 830), (1100, 800), (900, 600), (700, 500)):
        xdotool("mousemove", x, y)
    wait(lambda: move_to_target(app), "the drop target")
    xdotool("mouseup", 1)
    return source


def set_clipboard(kind, data):
    """Returns the process that owns it."""
    process = subprocess.Popen(
        ["xclip", "-selection", "clipboard", "-quiet", "-t", kind, "-i"],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    process.stdin.write(data)
    process.stdin.close()
    wait_clipboard(kind)
    return process


def wait_clipboard(kind):
    command = ["xclip", "-selection", "clipboard", "-o", "-t", "TARGETS"]
    wait(
        lambda: kind in subprocess.run(command, capture_output=True, text=True).stdout,
        f"{kind} on the clipboard",
    )


def expect(condition, what):
    if not condition:
        raise Failure(what)


def forget():
    """A fresh home for the next test."""
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        folder = tempfile.mkdtemp(dir=os.environ["HOME"])
        os.environ[name] = folder


def configure(setting):
    """What the programs that start from now on, until the next test, are set to."""
    folder = os.path.join(os.environ["XDG_CONFIG_HOME"], "glib-2.0", "settings")
    os.makedirs(folder)
    with open(os.path.join(folder, "keyfile"), "w") as file:
        file.write(f"[org/allava/Allava]\n{setting}\n")


def main(tests):
    """Runs the tests, each with a fresh home, and reports in TAP."""
    Atspi.init()
    wanted = os.environ.get("ALLAVA_TEST_ONLY")  # a name, while working on it
    tests = [test for test in tests if wanted in (None, test.__name__)]
    print(f"1..{len(tests)}", flush=True)
    failed = 0
    for number, test in enumerate(tests, 1):
        forget()
        begun = time.monotonic()
        try:
            test()
            print(f"ok {number} {test.__name__} # {time.monotonic() - begun:.1f} s", flush=True)
        except Skip as reason:
            print(f"ok {number} {test.__name__} # SKIP {reason}", flush=True)
        except Exception:
            failed += 1
            for line in traceback.format_exc().splitlines():
                print("#", line)
            print(f"not ok {number} {test.__name__}", flush=True)
    sys.exit(1 if failed else 0)
