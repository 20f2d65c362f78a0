"""How images come in: arguments, a second start, drag and drop, the clipboard; and what is shown."""

import os
import shutil
import subprocess
import sys

import desktop
from desktop import (
    App,
    Atspi,
    drag,
    expect,
    has_state,
    image_being_read,
    make_image,
    press,
    set_clipboard,
    wait,
    wait_clipboard,
    write,
    xdotool,
)


def by_argument_and_by_a_second_start():
    red = make_image("red.png", 120, 80, 0xFF0000FF)
    blue = make_image("blue.png", 80, 120, 0x0000FFFF)
    with App(red) as app:
        app.find(desktop.BUTTON, r"^Image red\.png, 120 by 80 pixels$")
        subprocess.run([sys.argv[1], blue], check=True)
        app.find(desktop.BUTTON, r"^Image blue\.png, 80 by 120 pixels$")
        app.click(r"^Remove red\.png$")
        app.gone(desktop.BUTTON, r"^Image red\.png")
        app.click("^Describe$")
        app.answer("I see 1 images. You asked: Describe this image")
        app.find("list item", "^You, 1 image: Describe this image")
        app.find(desktop.BUTTON, r"^Image blue\.png")


def ready_made_questions_are_asked_in_english():
    red, blue = make_image("red.png"), make_image("blue.png", color=0x0000FFFF)
    with App(red, env={"LANGUAGE": "de"}) as app:
        app.click("^Text lesen$")
        app.answer("I see 1 images. You asked: Read the text in this image")
        subprocess.run([sys.argv[1], blue], check=True)
        app.find(desktop.BUTTON, r"^Bild blue\.png")
        app.focus()
        press("Return")
        app.answer("I see 1 images. You asked: Describe this image")


def into_a_service_that_the_bus_has_started():
    """It shows nothing until it is told what to open."""
    red = make_image("red.png", 120, 80)
    launch = "gdbus wait --session org.allava.Allava && gapplication launch org.allava.Allava"
    launcher = subprocess.Popen(["sh", "-c", launch + ' "$0"', red])
    try:
        with App("--gapplication-service") as app:
            app.find(desktop.BUTTON, r"^Image red\.png, 120 by 80 pixels$")
            expect(len(app.all("frame")) == 1, "there is more than one window")
    finally:
        launcher.terminate()
        launcher.wait()


def not_an_image_is_told():
    path = os.path.join(os.environ["HOME"], "notes.txt")
    with open(path, "w") as file:
        file.write("no picture\n")
    with App(path) as app:
        app.find(None, r"notes\.txt")
        press("x")
        wait(lambda: app.entry_text() == "x", "the entry to work on")


def several_that_are_no_images_are_told_together():
    paths = [os.path.join(os.environ["HOME"], name) for name in ("a.txt", "b.txt")]
    for path in paths:
        with open(path, "w") as file:
            file.write("no picture\n")
    with App(*paths, make_image("cat.png"), "https://localhost/cat.png") as app:
        app.find(desktop.BUTTON, r"^Image cat\.png, ")
        app.find("alert", r"^That is not a file on this computer.* \(2 more images were not attached\)$")
        subprocess.run([sys.argv[1], *paths], check=True)
        app.find("alert", r"^[ab]\.txt is not a picture.* \(1 more image was not attached\)$")


def what_is_not_on_this_computer_is_not_fetched():
    with App("https://localhost/cat.png") as app:
        app.find("alert", "^That is not a file on this computer")


def drag_files_from_another_window():
    one = make_image("one.png")
    two = make_image("two.png", 64, 64)
    with App() as app:
        source = drag(app, "files", one, two)
        try:
            app.find(desktop.BUTTON, r"^Image one\.png")
            app.find(desktop.BUTTON, r"^Image two\.png, 64 by 64")
        finally:
            source.terminate()
            source.wait()


def drag_image_data_from_another_window():
    one = make_image("data.png", 50, 40)
    with App() as app:
        source = drag(app, "image", one)
        try:
            app.find(desktop.BUTTON, "^Image Image, 50 by 40 pixels$")
        finally:
            source.terminate()
            source.wait()


def paste(kind, data, pattern):
    """The clipboard is filled before the program starts, which then knows what is in it."""
    owner = set_clipboard(kind, data)
    try:
        with App() as app:
            app.wait_focus("text", "^Your question$")
            press("ctrl+v")
            app.find(desktop.BUTTON, pattern)
            expect(app.entry_text() == "", "it was pasted as text")
    finally:
        owner.terminate()
        owner.wait()


def paste_an_image():
    with open(make_image("clip.png", 33, 22), "rb") as file:
        paste("image/png", file.read(), "^Image Image, 33 by 22 pixels$")


def paste_files():
    path = make_image("file.png", 20, 10)
    address = f"file://{path}\r\n".encode()
    paste("text/uri-list", address, r"^Image file\.png, 20 by 10 pixels$")


def paste_a_link():
    """As text, though a browser says that it is a file too."""
    address = "https://localhost/cat.html"
    owner = subprocess.Popen([sys.argv[2], "link", address])
    try:
        wait_clipboard("text/uri-list")
        with App() as app:
            app.wait_focus("text", "^Your question$")
            press("ctrl+v")
            wait(lambda: app.entry_text() == address, "the link in the entry")
            expect(not app.look("alert"), "it is told as an error")
    finally:
        owner.terminate()
        owner.wait()


def look_at_an_image_large():
    path = make_image("large.png", 300, 200)
    with App(path) as app:
        app.click(r"^Image large\.png")
        app.find("frame", r"^large\.png$")
        app.find("label", "^300 × 200 pixels$")
        app.click("^Zoom In$")
        app.click("^What the Model Sees$")
        app.find("label", "^What the model sees can be shown once a model is loaded")
        viewer = app.find("frame", r"^large\.png$")
        wait(lambda: has_state(viewer, Atspi.StateType.ACTIVE), "the viewer to be active")
        press("Escape")
        app.gone("frame", r"^large\.png$")


def a_lost_image_is_told():
    with App(make_image("lost.png", 300, 200)) as app:
        app.find(desktop.BUTTON, r"^Image lost\.png, 300 by 200")
        app.ask("What is it?")
        app.answer("I see 1 images")
    for name in ("images", "thumbnails"):
        shutil.rmtree(os.path.join(os.environ["XDG_DATA_HOME"], "allava", name))
    with App() as app:
        app.find("list item", r"^What is it\?, Today$")
        press("F9")
        app.wait_focus("list item", r"^What is it\?, Today$")
        press("Return")
        app.find(desktop.BUTTON, r"^Image lost\.png, which cannot be read$")


def a_question_waits_for_its_image():
    with image_being_read() as (path, finish), App(path) as app:
        app.find(desktop.BUTTON, "^Image being read")
        app.type("What is it?")
        press("Return")
        finish()
        app.answer("I see 1 images. You asked: What is it?")


def a_question_that_waits_is_sent_nowhere_else():
    with image_being_read() as (path, finish), App() as app:
        app.ask("Before")
        app.answer("You asked: Before")
        press("ctrl+n")
        wait(lambda: not app.messages(), "a new conversation")
        subprocess.run([sys.argv[1], path], check=True)
        app.find(desktop.BUTTON, "^Image being read")
        app.focus()
        app.type("What is it?")
        press("Return", "F9")
        app.wait_focus("list item", "^Before, Today$")
        press("Return")
        wait(lambda: len(app.messages()) == 2, "the other conversation")
        finish()
        app.find(desktop.BUTTON, r"^Image slow\.png")
        expect(len(app.messages()) == 2, f"it was sent: {app.messages()}")
        expect(app.entry_text() == "What is it?", f"the entry holds {app.entry_text()!r}")


def an_image_that_is_never_read_can_be_removed():
    with image_being_read() as (path, _), App(path) as app:
        app.find(desktop.BUTTON, "^Image being read")
        app.type("What is it?")
        press("Return")
        app.click(r"^Remove slow\.png$")
        app.gone(desktop.BUTTON, "^Image being read")
        expect(not app.messages(), f"it was sent without its image: {app.messages()}")
        press("Return")
        app.answer("I see 0 images. You asked: What is it?")
        subprocess.run([sys.argv[1], path], check=True)
        app.find(desktop.BUTTON, "^Image being read")
        app.focus()
        app.wait_focus("text", "^Your question$")
        press("shift+Tab")
        app.wait_focus(desktop.BUTTON, "^Add Images$")
        press("shift+Tab")
        app.wait_focus(desktop.BUTTON, "^Image being read")
        press("Delete")
        app.gone(desktop.BUTTON, "^Image being read")
        app.wait_focus("text", "^Your question$")


def a_new_conversation_does_not_wait_for_an_image():
    with image_being_read() as (path, _), App(path) as app:
        app.find(desktop.BUTTON, "^Image being read")
        app.type("What is it?")
        press("Return", "ctrl+n")
        app.gone(desktop.BUTTON, "^Image being read")
        expect(app.entry_text() == "What is it?", f"the entry holds {app.entry_text()!r}")
        press("Return")
        app.answer("I see 0 images. You asked: What is it?")


def a_question_that_is_written_on_is_not_sent():
    with image_being_read() as (path, finish), App(path) as app:
        app.find(desktop.BUTTON, "^Image being read")
        app.type("What")
        press("Return")
        write(" is")
        wait(lambda: app.entry_text() == "What is", "more of it")
        finish()
        app.find(desktop.BUTTON, r"^Image slow\.png")
        expect(not app.messages(), f"it was sent: {app.messages()}")


def same_question_new_image():
    one = make_image("one.png")
    two = make_image("two.png")
    with App(one) as app:
        app.find(desktop.BUTTON, r"^Image one\.png")
        app.ask("What is it?")
        app.answer("I see 1 images")
        app.click("^Same Question, New Image$")
        wait(lambda: app.entry_text() == "What is it?", "the question in the entry")
        wait(
            lambda: xdotool("getwindowfocus", "getwindowname").strip() == "Open Images",
            "the file chooser",
        )
        press("Escape")
        app.gone(None, "^Open Images$")
        subprocess.run([sys.argv[1], two], check=True)
        app.find(desktop.BUTTON, r"^Image two\.png")
        app.focus()
        app.click("^Send$")
        app.find("label", "^2 of 2$")
        app.gone(desktop.BUTTON, r"^Image one\.png")


if __name__ == "__main__":
    desktop.main(
        [
            by_argument_and_by_a_second_start,
            ready_made_questions_are_asked_in_english,
            into_a_service_that_the_bus_has_started,
            not_an_image_is_told,
            several_that_are_no_images_are_told_together,
            what_is_not_on_this_computer_is_not_fetched,
            drag_files_from_another_window,
            drag_image_data_from_another_window,
            paste_an_image,
            paste_files,
            paste_a_link,
            look_at_an_image_large,
            a_lost_image_is_told,
            same_question_new_image,
            a_question_waits_for_its_image,
            a_question_that_waits_is_sent_nowhere_else,
            an_image_that_is_never_read_can_be_removed,
            a_new_conversation_does_not_wait_for_an_image,
            a_question_that_is_written_on_is_not_sent,
        ]
    )
