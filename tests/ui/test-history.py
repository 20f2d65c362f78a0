"""The side bar: search, rename, delete with undo, what a kill leaves, window state."""

import os
import re
import sqlite3
import subprocess
import sys
import tempfile

import desktop
from desktop import App, expect, image_being_read, make_image, press, wait, write


def talk(app, *questions):
    for question in questions:
        press("ctrl+n")
        app.wait_focus("text", "^Your question$")
        app.ask(question)
        app.answer("You asked: " + re.escape(question))


def search_with_highlighted_hits():
    with App() as app:
        talk(app, "About a zebra", "About a tulip")
        app.find("list item", "^About a zebra, Today$")
        press("ctrl+f")
        app.wait_focus(("text", "entry"), "Search")
        write("zeb")
        app.gone("list item", "^About a tulip")
        app.find("list item", "^About a zebra, Today: .*zebra")
        press("Return")
        app.find("list item", "^You: About a zebra")
        press("ctrl+f")
        press("ctrl+a")
        write("nothinglikethis")
        app.find("label", "^No Results$")
        press("Escape")
        app.find("list item", "^About a tulip")


def a_hit_is_shown_though_it_is_in_another_version():
    with App() as app:
        talk(app, "About a zebra")
        app.click("^Edit and Ask Again$")
        wait(lambda: app.entry_text() == "About a zebra", "the question in the entry")
        press("ctrl+a")
        app.ask("About a tulip")
        app.answer("You asked: About a tulip")
        press("ctrl+n")
        wait(lambda: not app.messages(), "a new conversation")
        press("ctrl+f")
        app.wait_focus(("text", "entry"), "Search")
        press("z", "e", "b", "r", "a", "Return")
        app.find("list item", "^You, 1 of 2: About a zebra")


def enter_opens_what_is_searched_for():
    with App() as app:
        talk(app, "About a zebra", "About a tulip")
        press("ctrl+f")
        app.wait_focus(("text", "entry"), "Search")
        press("z", "e", "b", "Return")  # before the list is read again
        app.find("list item", "^You: About a zebra")


def the_side_bar_is_entered_at_what_is_shown():
    with App() as app:
        talk(app, "Alpha", "Beta", "Gamma")
        press("F9")
        app.wait_focus("list item", "^Gamma, Today$")
        press("Down")
        app.wait_focus("list item", "^Beta, Today$")
        press("Return")
        app.wait_focus("text", "^Your question$")
        press("F9")
        app.wait_focus("list item", "^Beta, Today$")
        press("ctrl+n")
        app.wait_focus("text", "^Your question$")
        press("F9")  # nothing is selected
        app.wait_focus("list item", "^Gamma, Today$")


def rename():
    with App() as app:
        talk(app, "Old name")
        press("F9")
        app.wait_focus("list item", "^Old name")
        press("F2")
        app.wait_focus(("text", "entry"), "^Title$")
        press("ctrl+a")
        write("New name")
        press("Return")
        app.find("list item", "^New name, Today$")


def delete_and_undo():
    with App() as app:
        talk(app, "To be deleted")
        press("F9")
        app.wait_focus("list item", "^To be deleted")
        press("Delete")
        app.gone("list item", "^To be deleted")
        app.click("^Undo")
        app.find("list item", "^To be deleted, Today$")


def files_with(text):
    for base, _, names in os.walk(os.path.join(os.environ["XDG_DATA_HOME"], "allava")):
        for name in names:
            with open(os.path.join(base, name), "rb") as file:
                if text in file.read():
                    yield name


def export_everything():
    folder = os.path.join(os.environ["HOME"], "exported")
    os.makedirs(folder)
    with App() as app:
        talk(app, "Keep this")
        press("F10")
        app.wait_focus("menu item", "^Export All")
        press("Return")
        app.choose_folder(folder)
        app.find(None, "^1 conversation exported$")
        (name,) = os.listdir(folder)
        with open(os.path.join(folder, name)) as file:
            expect("You asked: Keep this" in file.read(), "the export lacks the answer")


def an_export_that_fails_is_told_in_whole():
    with App() as app:
        talk(app, "Keep this")
        app.resize(360, 600)
        press("F9")
        app.wait_focus("list item", "^Keep this")
        press("F10")
        app.wait_focus("menu item", "^Export All")
        press("Return")
        app.choose_folder("/proc")  # where nobody can write
        app.find("alert", "^The export to /proc failed: ")


def begin_export(app):
    """Returns the folder."""
    folder = tempfile.mkdtemp(dir=os.environ["HOME"])
    press("F10")
    app.wait_focus("menu item", "^Export All")
    press("Return")
    app.choose_folder(folder)
    wait(lambda: os.listdir(folder), "the export to begin")
    app.focus()
    return folder


def fill_history(n):
    """With conversations that take a while to export: a free name for each is looked for."""
    with App() as app:
        talk(app, "The first")
    path = os.path.join(os.environ["XDG_DATA_HOME"], "allava", "history.sqlite")
    with sqlite3.connect(path) as history:
        history.execute("DROP TRIGGER title_search_insert")  # it needs the program's tokenizer
        for i in range(1, n + 1):
            row = (i, "Again", i, None)
            history.execute("INSERT INTO conversation (id, title, updated, active_leaf) VALUES (?, ?, ?, ?)", row)
    history.close()


def an_export_to_no_folder_is_told():
    with App() as app:
        press("F10")
        app.wait_focus("menu item", "^Export All")
        press("Return")
        app.wait_chooser()
        press("ctrl+l", "ctrl+a", "BackSpace", "Return")
        app.find(None, "^No folder was chosen, so nothing was exported$")


def closing_waits_for_an_export():
    fill_history(800)
    app = App(env={"G_DEBUG": "fatal-criticals"})
    try:
        folder = begin_export(app)
        press("ctrl+q")
        expect(app.process.wait(desktop.DEADLINE) == 0, "the program did not end well")
        n = len(os.listdir(folder))
        expect(n == 801, f"{n} of 801 conversations were exported")
    finally:
        app.kill()


def closing_twice_cuts_an_export():
    fill_history(6000)
    with App(env={"G_DEBUG": "fatal-criticals"}) as app:
        folder = begin_export(app)
        press("ctrl+q")
        app.find(None, "^The window closes as soon as the export is done$")
        press("ctrl+q")
        expect(app.process.wait(desktop.DEADLINE) == 0, "the program did not end well")
    expect(len(os.listdir(folder)) < 6001, "it was not cut")


def open_the_data_folder():
    """With the program that the system has for folders."""
    opened, opener = (os.path.join(os.environ["HOME"], name) for name in ("opened", "opener"))
    with open(opener, "w") as file:
        file.write(f'#!/bin/sh\necho "$1" >{opened}.new && mv {opened}.new {opened}\n')
    os.chmod(opener, 0o755)
    applications = os.path.join(os.environ["XDG_DATA_HOME"], "applications")
    os.makedirs(applications)
    with open(os.path.join(applications, "opener.desktop"), "w") as file:
        file.write("[Desktop Entry]\nType=Application\nName=Opener\nMimeType=inode/directory;\n")
        file.write(f"Exec={opener} %u\n")
    with open(os.path.join(os.environ["XDG_CONFIG_HOME"], "mimeapps.list"), "w") as file:
        file.write("[Default Applications]\ninode/directory=opener.desktop\n")
    with App() as app:
        press("F10")
        app.wait_focus("menu item", "^Export All")
        press("Down")
        app.wait_focus("menu item", "^Open Data Folder")
        press("Return")
        wait(lambda: os.path.exists(opened), "the folder to be opened")
    with open(opened) as file:
        expect(os.path.join(os.environ["XDG_DATA_HOME"], "allava") in file.read(), "another folder was opened")


def say_delete_everything(app):
    press("F10")
    app.wait_focus("menu item", "^Export All")
    press("Down", "Down")
    app.wait_focus("menu item", "^Delete Everything")
    press("Return")
    app.wait_focus(desktop.BUTTON, "^Cancel")  # the harmless answer is the default
    press("Tab")
    app.wait_focus(desktop.BUTTON, "^Delete Everything")
    press("Return")


def delete_everything():
    with App() as app:
        talk(app, "A secret")
        say_delete_everything(app)
        app.gone("list item", "^A secret")
        wait(lambda: not list(files_with(b"secret")), "no file to hold the text")


def answer_in_the_background(app):
    app.ask("Talk slowly")
    wait(lambda: app.look("label", "^word1 word2"), "the answer to begin")
    press("ctrl+n")
    app.wait_focus("text", "^Your question$")
    wait(lambda: not app.messages(), "a new conversation")


def deleting_stops_what_answers_in_the_background():
    with App() as app:
        answer_in_the_background(app)
        press("F9")
        app.wait_focus("list item", "^Talk slowly")
        press("Delete")
        app.gone("list item", "^Talk slowly")
        app.ask("Is anyone there?")
        app.answer("You asked: Is anyone there")


def delete_everything_in_the_background_and_in_the_composer():
    with App() as app:
        answer_in_the_background(app)
        subprocess.run([sys.argv[1], make_image("dog.png")], check=True)
        app.find(desktop.BUTTON, r"^Image dog\.png")
        app.focus()
        say_delete_everything(app)
        app.gone("list item", "^Talk slowly")
        app.gone(desktop.BUTTON, r"^Image dog\.png")
        app.ask("Is anyone there?")
        app.answer("I see 0 images. You asked: Is anyone there")


def delete_everything_while_an_image_is_read():
    with image_being_read() as (path, finish), App(path) as app:
        app.find(desktop.BUTTON, "^Image being read")
        say_delete_everything(app)
        app.gone(desktop.BUTTON, "^Image being read")
        finish()
        app.ask("Is anyone there?")
        app.answer("I see 0 images. You asked: Is anyone there")
        images = os.path.join(os.environ["XDG_DATA_HOME"], "allava", "images")
        expect(not os.path.exists(images) or not os.listdir(images), "the image was kept")


def a_kill_loses_little():
    app = App()
    app.ask("Talk slowly")
    wait(lambda: app.look("label", "^word1 (word[0-9]+ ){40}"), "forty words")
    app.kill()
    with App() as app:
        app.find("list item", "^Talk slowly, Today$")
        press("F9")
        app.wait_focus("list item", "^Talk slowly")
        press("Return")
        stopped = app.find("list item", "^Allava, stopped: word1 ")
        # 30 ms a word: half a second is not more than 17 of the 40.
        expect(len(stopped.get_name().split()) > 22, f"only {stopped.get_name()!r} was kept")
        app.find(desktop.BUTTON, "^Continue Answer$")


def closing_while_it_answers_saves_the_answer():
    with App() as app:
        app.ask("Talk slowly")
        wait(lambda: app.look("label", "^word1 (word[0-9]+ ){20}"), "twenty words")
    with App() as app:
        app.find("list item", "^Talk slowly, Today$")
        press("F9")
        app.wait_focus("list item", "^Talk slowly")
        press("Return")
        stopped = app.find("list item", "^Allava, stopped: word1 ")
        expect(len(stopped.get_name().split()) > 20, f"only {stopped.get_name()!r} was kept")


def the_window_comes_back_as_it_was():
    with App() as app:
        app.resize(700, 600)
        width = app.width()
    with App() as app:
        wait(lambda: app.width() == width, f"the width {width} kept; it is {app.width()}")


if __name__ == "__main__":
    desktop.main(
        [
            search_with_highlighted_hits,
            a_hit_is_shown_though_it_is_in_another_version,
            enter_opens_what_is_searched_for,
            the_side_bar_is_entered_at_what_is_shown,
            rename,
            delete_and_undo,
            export_everything,
            an_export_that_fails_is_told_in_whole,
            an_export_to_no_folder_is_told,
            closing_waits_for_an_export,
            closing_twice_cuts_an_export,
            open_the_data_folder,
            delete_everything,
            deleting_stops_what_answers_in_the_background,
            delete_everything_in_the_background_and_in_the_composer,
            delete_everything_while_an_image_is_read,
            a_kill_loses_little,
            closing_while_it_answers_saves_the_answer,
            the_window_comes_back_as_it_was,
        ]
    )
