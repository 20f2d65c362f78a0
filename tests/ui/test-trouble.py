"""Trouble: a full disk, a history that is locked, damaged or newer, a huge image or text. Each is told in a
sentence at its place, and nothing typed is lost."""

import os
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import zlib

import desktop
from desktop import App, expect, make_image, press, set_clipboard, wait, write

SMALL_DISK = os.path.join(os.path.dirname(__file__), "on-small-disk")
BYTES = 4 << 20


def data_folder():
    folder = os.path.join(os.environ["XDG_DATA_HOME"], "allava")
    os.makedirs(folder, exist_ok=True)
    return folder


def database():
    return sqlite3.connect(os.path.join(data_folder(), "history.sqlite"), isolation_level=None)


def fill(path):
    """Takes all the room there is."""
    with open(path, "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass


def texts(folder):
    """What a copy of the history in FOLDER holds."""
    copy = shutil.copytree(folder, os.path.join(os.environ["HOME"], "copy"), dirs_exist_ok=True)
    connection = sqlite3.connect(os.path.join(copy, "history.sqlite"))
    try:
        return [text for (text,) in connection.execute("SELECT text FROM message ORDER BY id")]
    finally:
        connection.close()


def a_full_disk():
    red, blue = make_image("red.png"), make_image("blue.png", color=0x0000FFFF)
    folder = data_folder()
    small = [SMALL_DISK, folder, str(BYTES)]
    if subprocess.run([*small, "true"]).returncode == 77:
        raise desktop.Skip("this machine allows no namespaces")
    with App(*small[1:], sys.argv[1], program=SMALL_DISK) as app:
        inside = f"/proc/{app.process.pid}/root{folder}"
        app.ask("With room")
        app.answer("You asked: With room")
        filler = os.path.join(inside, "filler")
        fill(filler)

        subprocess.run([sys.argv[1], red], check=True)
        app.find("alert", r"^There is no room left on the disk to keep red\.png; free some")
        app.focus()
        app.ask("Without room")
        app.answer("You asked: Without room")
        app.find("alert", "^There is no room left on the disk for the history in .*; free some")
        write("half a question")

        os.unlink(filler)
        subprocess.run([sys.argv[1], blue], check=True)
        app.find(desktop.BUTTON, r"^Image blue\.png")
        expect(app.entry_text() == "half a question", "what was typed is lost")
        app.focus()
        press("ctrl+l", "Return")
        app.answer("I see 1 images. You asked: half a question")
        app.gone("alert", "^There is no room")
        asked = ["With room", "Without room", "half a question"]
        wait(lambda: [t for t in texts(inside) if t in asked] == asked, "all to be saved")


def a_locked_history():
    with App() as app:
        app.ask("Before")
        app.answer("You asked: Before")
        other = database()
        other.execute("BEGIN IMMEDIATE")
        app.ask("Meanwhile")
        app.answer("You asked: Meanwhile")
        app.find("alert", "^The history in .* is in use by another program; close it and try again")
        other.execute("ROLLBACK")
        app.ask("After")
        app.answer("You asked: After")
        app.gone("alert", "^The history in")
        asked = ["Before", "Meanwhile", "After"]
        wait(lambda: [t for t in texts(data_folder()) if t in asked] == asked, "all to be saved")


def closing_with_something_unsaved_is_warned_of():
    with App() as app:
        app.ask("Before")
        app.answer("You asked: Before")
        other = database()
        other.execute("CREATE TRIGGER block BEFORE INSERT ON message BEGIN SELECT RAISE (ABORT, 'blocked'); END")
        app.ask("Not saved")
        app.answer("You asked: Not saved")
        app.find("alert", "^The history in .* failed: blocked")
        press("ctrl+q")
        app.find("alert", "^Some messages could not be saved. If you close the window again, they may be lost.")
        other.execute("DROP TRIGGER block")
        press("ctrl+q")
        wait(lambda: app.process.poll() == 0, "the program to end")
        expect("Not saved" in texts(data_folder()), "it was not saved at the end")


def opened_again_while_it_closes():
    with App() as app:
        app.ask("Before")
        app.answer("You asked: Before")
        other = database()
        other.execute("BEGIN IMMEDIATE")
        app.ask("Meanwhile")  # closing waits for it to be saved
        press("ctrl+q")
        wait(lambda: not app.find_xid(), "the window to go")
        subprocess.run(["gapplication", "launch", "org.allava.Allava"], check=True)
        other.execute("ROLLBACK")
        app.xid = wait(app.find_xid, "another window")
        app.focus()
        app.find("list item", "^Before, Today")
        app.type("After")
        press("Return")
        app.answer("You asked: After")
        app.find("list item", "^After, Today$")
        asked = ["Before", "After"]
        wait(lambda: [t for t in texts(data_folder()) if t in asked] == asked, "all to be saved")


def told_to_end_while_the_history_is_locked():
    """Each of six saves would wait for five seconds."""
    app = App()
    try:
        app.ask("Before")
        app.answer("You asked: Before")
        other = database()
        other.execute("BEGIN IMMEDIATE")
        for question in ("One", "Two", "Three"):
            press("ctrl+n")
            wait(lambda: not app.messages(), "a new conversation")
            app.ask(question)
            app.answer("You asked: " + question)
        app.process.terminate()
        wait(lambda: not app.find_xid(), "the window to go")
        app.process.terminate()
        ended = app.process.wait(10)
        expect(ended in (0, -signal.SIGALRM), f"it ended with {ended}")
        other.close()
        expect("Before" in texts(data_folder()), "what was saved is lost")
    finally:
        app.kill()


def a_history_that_is_locked_at_the_start():
    other = database()
    other.execute("PRAGMA journal_mode = WAL")
    other.execute("PRAGMA locking_mode = EXCLUSIVE")
    other.execute("BEGIN EXCLUSIVE")
    with App() as app:
        app.find("label", "^The history in .* is in use by another program; close it and try again")
        app.find("alert", "^The history in .* is in use by another program; close it and try again")
        app.ask("Not saved yet")
        app.answer("You asked: Not saved yet")
        other.close()
        app.click("^Try Again$")
        app.gone("label", "^The history in")
        app.find("list item", "^Not saved yet, Today$")


def a_newer_history():
    other = database()
    other.execute("PRAGMA user_version = 999")
    other.close()
    with App() as app:
        app.find("label", "^The history in .* newer version of Allava")
        app.ask("Even so")
        app.answer("You asked: Even so")
    with database() as other:
        expect(other.execute("PRAGMA user_version").fetchone() == (999,), "it was changed")


def a_damaged_history():
    path = os.path.join(data_folder(), "history.sqlite")
    with open(path, "w") as file:
        file.write("This is a letter, not a database. " * 100)
    with App() as app:
        app.find("label", "^The history in .* is damaged or is no history; move the file away")
        app.find("alert", "^The history in .* is damaged or is no history; move the file away")
        os.rename(path, path + ".old")
        app.click("^Try Again$")
        app.gone("alert", "^The history in")
        app.ask("In a new one")
        app.find("list item", "^In a new one, Today$")


def open_main_menu(app):
    """Which is beside the conversations, of which there are none."""
    press("F9")
    app.wait_focus(desktop.BUTTON, "^New Conversation")
    press("F10")
    app.wait_focus("menu item", "^Export All")


def delete_everything_with_a_damaged_history():
    path = os.path.join(data_folder(), "history.sqlite")
    with open(path, "w") as file:
        file.write("This is a letter, not a database. " * 100)
    with App() as app:
        app.find("alert", "^The history in .* is damaged or is no history; move the file away")
        open_main_menu(app)
        press("Return")
        app.choose_folder(os.environ["HOME"])
        app.find("alert", "^The history could not be opened; choose “Try Again” in the list")
        app.focus()
        open_main_menu(app)
        press("Down", "Down")
        app.wait_focus("menu item", "^Delete Everything")
        press("Return")
        app.wait_focus(desktop.BUTTON, "^Cancel")
        press("Tab")
        app.wait_focus(desktop.BUTTON, "^Delete Everything")
        press("Return")
        app.gone("label", "^The history in")
        app.ask("In a new one")
        app.find("list item", "^In a new one, Today$")
        app.gone("alert", "^The history")


def make_huge_image():
    """100 megapixels in a small file."""
    side = 10000
    row = b"\0" + b"\x35\x84\xe4" * side
    compressor = zlib.compressobj(1)
    data = b"".join(compressor.compress(row) for _ in range(side)) + compressor.flush()
    path = os.path.join(os.environ["HOME"], "huge.png")
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        for kind, chunk in ((b"IHDR", header), (b"IDAT", data), (b"IEND", b"")):
            crc = zlib.crc32(kind + chunk)
            file.write(struct.pack(">I", len(chunk)) + kind + chunk + struct.pack(">I", crc))
    return path


def a_huge_image():
    """The longest stall is told, not judged: it is the machine's as much as ours."""
    path = make_huge_image()
    with App(env={"ALLAVA_TEST_BEAT": "1"}) as app:
        subprocess.run(["gapplication", "action", "org.allava.Allava", "reset-beat"], check=True)
        source = desktop.drag(app, "files", path)
        try:
            app.find(desktop.BUTTON, "^Image being read")
            app.focus()
            press("ctrl+l")
            write("How large?")
            wait(lambda: app.entry_text() == "How large?", "the entry to take text meanwhile")
            press("Return")  # as soon as it is read
            app.answer("I see 1 images")
        finally:
            source.terminate()
            source.wait()
        app.find(desktop.BUTTON, r"^Image huge\.png, 10000 by 10000 pixels$")
        passed, worked = app.read().split("reset")[1].split()[-2:]
        print(f"# longest stall: {passed} ms passed, {worked} ms worked")


def paste_lines(app, n):
    """Into the empty entry; returns how many characters they are."""
    text = "What is in this picture, and where is it?\n" * n
    owner = set_clipboard("UTF8_STRING", text.encode())
    try:
        press("ctrl+v")
        wait(lambda: count_characters(app.entry()) == len(text), "the text in the entry")
    finally:
        owner.terminate()
        owner.wait()
    return len(text)


def count_characters(node):
    return node.get_text_iface().get_character_count()


def a_question_that_no_model_can_read():
    with App() as app:
        app.ask("With room")
        app.answer("You asked: With room")
        length = paste_lines(app, 25000)  # 1 MB
        press("Return")
        app.find("alert", "^The question is far longer than what the model can read; shorten it")
        expect(count_characters(app.entry()) == length, "what was pasted is lost")
        expect(len(app.messages()) == 2, f"it was asked: {len(app.messages())} messages")
        press("ctrl+a", "x", "Return")
        app.answer("You asked: x")


def a_long_message_is_shown_in_part():
    with App() as app:
        app.ask("fail")  # no answer that repeats the question
        app.find("list item", "^Allava, failed")
        length = paste_lines(app, 700)  # 30 kB
        write("fail")
        press("Return")
        app.find("label", "^The rest is too long to be shown; copying and exporting give all of it")
        shown = app.find("list item", r"^You: What is in .*[\s\S]*… The rest is too long")
        expect(len(shown.get_name()) < length, "all of it is in the row")
        press("ctrl+m")
        app.wait_focus("list item", "^Allava, failed")
        press("Up")
        app.wait_focus("list item", "^You: What is in")
        press("ctrl+c", "ctrl+l")
        app.wait_focus("text", "^Your question$")
        press("ctrl+v")
        wait(lambda: count_characters(app.entry()) == length + len("fail"), "all of it, copied")


if __name__ == "__main__":
    desktop.main(
        [
            a_full_disk,
            a_locked_history,
            closing_with_something_unsaved_is_warned_of,
            opened_again_while_it_closes,
            told_to_end_while_the_history_is_locked,
            a_history_that_is_locked_at_the_start,
            a_newer_history,
            a_damaged_history,
            delete_everything_with_a_damaged_history,
            a_huge_image,
            a_question_that_no_model_can_read,
            a_long_message_is_shown_in_part,
        ]
    )
