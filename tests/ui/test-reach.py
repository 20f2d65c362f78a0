"""Reach: by the keyboard alone, by a screen reader, in every size, direction and without a net."""

import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager

import desktop
from desktop import (
    App,
    Atspi,
    Failure,
    GLib,
    expect,
    has_state,
    image_being_read,
    make_image,
    matches,
    press,
    wait,
    write,
)


def by_the_keyboard_alone():
    path = make_image("cat.png")
    with App(path) as app:
        app.wait_focus("text", "^Your question$")
        # Backwards through the visual order.
        press("shift+Tab")
        app.wait_focus(desktop.BUTTON, "^Add Images$")
        press("shift+Tab")
        app.wait_focus(desktop.BUTTON, r"^Image cat\.png")
        press("shift+Tab")
        app.wait_focus(desktop.BUTTON, r"^Remove cat\.png$")
        press("shift+Tab")
        app.wait_focus(desktop.BUTTON, "^Read Text$")
        press("ctrl+l")
        app.wait_focus("text", "^Your question$")
        write("Look")
        press("Return")
        app.answer("I see 1 images. You asked: Look")
        # Messages are read with the arrow keys.
        press("ctrl+m")
        app.wait_focus("list item", "^Allava: I see 1")
        press("Up")
        app.wait_focus("list item", "^You, 1 image: Look")
        press("F2")
        app.wait_focus("text", "^Your question$")
        wait(lambda: app.entry_text() == "Look", "the question in the entry")
        press("Escape")
        wait(lambda: app.entry_text() == "", "the edit to end")
        app.open_menu("^Allava")
        press("Escape")
        app.gone("menu item", "^Copy$")
        app.wait_focus("list item", "^Allava")
        press("Delete")
        app.gone("list item", "^Allava")
        app.wait_focus("text", "^Your question$")
        press("F9")
        app.wait_focus("list item", "^Look, Today$")


def corner(node):
    extents = node.get_component_iface().get_extents(Atspi.CoordType.WINDOW)
    return extents.x, extents.y


def by_tab(app):
    """The places of what Tab reaches from the entry, once around."""
    last = app.wait_focus("text", "^Your question$")
    places = []
    while len(places) < 40:
        press("Tab")
        wait(lambda: app.focused() and app.focused().path != last.path, "the focus to move")
        last = app.focused()
        if matches(last, "text", "^Your question$"):
            return places
        places.append((*corner(last), last.get_name()))
    raise Failure(f"Tab does not come back: {places}")


def the_tab_order_is_the_visual_order():
    with App() as app:
        edge = corner(app.find(None, "^Model: "))[0]
        for expected in (7, 15):
            places = by_tab(app)
            expect(len(places) >= expected, f"Tab reaches only {places}")
            for pane in ([p for p in places if p[0] < edge], [p for p in places if p[0] >= edge]):
                rows = [y for _, y, _ in pane]
                expect(rows == sorted(rows), f"Tab goes to and fro: {pane}")
            app.ask("Hello")
            app.answer("You asked: Hello")


def undo_by_the_keyboard():
    with App() as app:
        app.ask("Keep me")
        app.answer("You asked: Keep me")
        app.click("^Delete$")
        app.gone("list item", "^You: Keep me")
        last = app.wait_focus("text", "^Your question$")
        while not matches(last, desktop.BUTTON, "^Undo"):
            press("Tab")
            wait(lambda: app.focused() and app.focused().path != last.path, "the focus to move")
            last = app.focused()
        press("Return")
        app.find("list item", "^You: Keep me")
        app.gone(desktop.BUTTON, "^Undo")
        app.wait_focus("text", "^Your question$")


def the_side_bar_takes_the_focus_and_all_keys():
    with App() as app:
        app.wait_focus("text", "^Your question$")
        press("F9")
        app.wait_focus(desktop.BUTTON, "^New Conversation$")
        app.ask("About a zebra")
        app.answer("You asked: About a zebra")
        press("ctrl+f", "z", "e", "b")  # before the search is drawn
        app.wait_focus("entry", "^Search all conversations$")
        app.find("list item", "^About a zebra, Today: .*zebra")
        press("Escape")
        app.wait_focus("list item", "^About a zebra, Today$")


def nameless(app):
    """What can have the focus, and has no name to be called by."""
    for node in app.nodes():
        if not has_state(node, Atspi.StateType.FOCUSABLE):
            continue
        name = (node.get_name() or "").strip()
        # GTK calls what has no name by its type.
        if not name or re.fullmatch(r"(Gtk|Adw|Allava)[A-Z]\w+", name):
            yield f"{node.get_role_name()} in {node.get_parent().get_name()!r}"


def expect_names(app, where):
    wait(lambda: not list(nameless(app)), f"a name for everything {where}: {list(nameless(app))}")


def expect_names_by_tab(app):
    """For libadwaita's own widgets, which hold things that look focusable and never are."""
    seen = []
    for _ in range(60):
        press("Tab")
        node = app.focused()
        if node and node.path in seen[:1] and len(seen) > 1:
            break
        if node and node.path not in seen:
            seen.append(node.path)
            expect((node.get_name() or "").strip(), f"{node.get_role_name()} has no name")
    expect(len(seen) > 8, f"only {len(seen)} things were reached")


def everything_has_a_name():
    path = make_image("cat.png")
    with App(path) as app:
        app.find(desktop.BUTTON, r"^Image cat\.png")
        expect_names(app, "in a new conversation")
        app.ask("Some markdown")
        app.answer("A heading")
        expect_names(app, "in a conversation")
        press("ctrl+f")
        expect_names(app, "in the search")
        press("Escape")
        press("ctrl+d")
        app.find(desktop.BUTTON, "Add a Folder")
        expect_names(app, "in the model menu")
        press("Escape")
        app.gone(desktop.BUTTON, "Add a Folder")  # it takes the keys until then
        press("ctrl+comma")
        app.find(None, "^Precision$")
        expect_names_by_tab(app)
        press("Escape")
        app.gone(None, "^Precision$")
        press("F10")
        app.find(None, "^Keyboard Shortcuts")
        items = app.all("menu item")
        expect(len(items) == 6 and all(n.get_name() for n in items), "menu items without names")
        press("Escape")
        app.click(r"^Image cat\.png")
        app.find("label", "^120 × 80 pixels$")
        expect_names(app, "in the viewer")


def narrow():
    with App() as app:
        app.resize(360, 600)
        expect(app.width() <= 360, f"the window is {app.width()} wide")
        app.find(desktop.BUTTON, "^Conversations$")
        app.ask("Narrow")
        app.answer("You asked: Narrow")
        app.click("^Conversations$")
        press("F9")
        app.wait_focus("list item", "^Narrow, Today$")
        press("Return")
        app.find("list item", "^You: Narrow")
        expect_names(app, "in a narrow window")


def expect_side_bar(app, role, name):
    """Once what is found has its place."""
    sentence = app.find(role, name)
    wait(lambda: sentence.get_component_iface().get_size().x > 100, f"{name} to be laid out")
    expect(not app.look(desktop.BUTTON, "^Conversations$"), f"{name!r} folds the side bar away")


def long_sentences_leave_the_side_bar():
    name = "a picture of everything that was to be seen " * 4
    path = os.path.join(os.environ["HOME"], name + ".txt")
    with open(path, "w") as file:
        file.write("no picture\n")
    with App(path) as app:
        expect_side_bar(app, "alert", "^a picture of .* is not a picture")
    for kind, role, sentence in (
        ("broken", "alert", "a picture of .* is broken"),
        ("slow", "label", "^Loading a picture of"),
    ):
        desktop.forget()
        desktop.configure(f"model='/{kind}/{name}'")
        with App() as app:
            expect_side_bar(app, role, sentence)


def the_problem_fits_a_narrow_window_with_large_text():
    desktop.configure("model='/broken'")
    with App(env={"ALLAVA_TEST_LARGE_TEXT": "1"}) as app:
        app.resize(400, 700)
        for name in ("^Try Again$", "^Choose a Model…$"):
            button = app.find(desktop.BUTTON, name)
            right = corner(button)[0] + button.get_component_iface().get_size().x
            expect(right <= app.width(), f"{name} ends at {right} of {app.width()}")


def a_reader_may_ask_for_a_window_that_has_gone():
    """GTK 4.8 crashes on that, if the application has hidden windows."""
    with App() as app:
        press("ctrl+question")
        app.find("label", "^Send the question$")
        press("Escape")
        app.gone("label", "^Send the question$")
        app.root.get_child_at_index(app.root.get_child_count())
        app.ask("Still there?")


def the_shortcuts_are_listed():
    listed = [
        "Page_Up / Page_Down Up and down in a long message",
        "Alt + ← / Alt + → Previous and next version",
        "Ctrl + I Details of the answer",
        "Delete Remove the attached image",
        "F2 Rename the conversation",
        "Delete Delete the conversation",
        "0 Fit to the window",
        "Ctrl + W Close the window",
    ]
    with App() as app:
        press("ctrl+question")
        app.find("label", "^Send the question$")
        labels = (n for n in app.nodes(showing=False) if n.get_role_name() == "label")
        text = " ".join(label.get_name() for label in labels)
        for line in listed:
            expect(f" {line} " in text, f"{line!r} is not listed")


ORCA = """
<node><interface name="org.gnome.Orca.Service">
  <method name="PresentMessage">
    <arg name="message" type="s" direction="in"/>
    <arg name="done" type="b" direction="out"/>
  </method>
</interface></node>
"""


@contextmanager
def orca():
    """In place of Orca; yields what it was told to say."""
    from gi.repository import Gio

    said = []
    bus = Gio.bus_get_sync(Gio.BusType.SESSION)
    interface = Gio.DBusNodeInfo.new_for_xml(ORCA).interfaces[0]

    def call(connection, sender, path, name, method, parameters, invocation):
        said.append(parameters.unpack()[0])
        invocation.return_value(GLib.Variant("(b)", (True,)))

    registered = bus.register_object("/org/gnome/Orca/Service", interface, call, None, None)
    owned = Gio.bus_own_name_on_connection(
        bus, "org.gnome.Orca.Service", Gio.BusNameOwnerFlags.NONE, None, None
    )
    try:
        yield said
    finally:
        bus.unregister_object(registered)
        Gio.bus_unown_name(owned)


def wait_heard(said, text):
    def check():
        GLib.MainContext.default().iteration(False)
        return any(text in message for message in said)

    wait(check, f"{text!r} in {said}")


def orca_presents_answers():
    with orca() as said, App() as app:
        app.ask("Some words")
        wait_heard(said, "Describing…")
        wait_heard(said, "Answer ready, 8 words. I see 0 images.")
        expect(len(said) == 2, f"more was said than that: {said}")
        app.ask("Do not forget me")
        wait_heard(said, "You asked: Do not forget me The model’s memory is full: it no longer saw")


def orca_presents_why_a_model_does_not_load():
    desktop.configure("model='/broken'")
    with orca() as said, App() as app:
        wait_heard(said, "/broken/config.json is broken")
        said.clear()
        app.wait_focus("text", "^Your question$")
        for name in ("^Add Images$", "^Open Images", "^Choose a Model", "^Try Again$"):
            press("shift+Tab")
            app.wait_focus(desktop.BUTTON, name)
        press("Return")
        wait_heard(said, "/broken/config.json is broken")
        app.wait_focus("text", "^Your question$")


def orca_presents_what_is_attached():
    path = make_image("cat.png")
    with orca() as said, App(path) as app:
        wait_heard(said, "Image cat.png attached")
        app.click(r"^Remove cat\.png$")
        wait_heard(said, "Image cat.png removed")


def orca_presents_what_a_question_waits_for():
    with image_being_read() as (path, _), orca() as said, App(path) as app:
        app.find(desktop.BUTTON, "^Image being read")
        app.type("What is it?")
        press("Return")
        wait_heard(said, "Image being read…")
        press("ctrl+n")
        wait_heard(said, "Image slow.png removed")


def orca_presents_what_is_found():
    with orca() as said, App() as app:
        for question in ("About a zebra", "About a tulip"):
            press("ctrl+n")
            app.ask(question)
            app.answer("You asked: " + question)
        press("ctrl+f")
        app.wait_focus("entry", "^Search all conversations$")
        write("about")
        wait_heard(said, "2 conversations found")
        write("zzz")
        wait_heard(said, "No Results")


def orca_presents_which_conversation_is_shown():
    with orca() as said, App() as app:
        app.ask("About a zebra")
        app.answer("You asked: About a zebra")
        app.wait_focus("text", "^Your question$")
        press("ctrl+n")
        wait_heard(said, "New Conversation")
        said.clear()
        press("F9")
        app.wait_focus("list item", "^About a zebra")
        press("Return")
        wait_heard(said, "About a zebra")
    with orca() as said, App() as app:  # its title has to be read first
        app.find("list item", "^About a zebra")
        press("F9")
        app.wait_focus("list item", "^About a zebra")
        press("Return")
        wait_heard(said, "About a zebra")
        expect(len(said) == 1, f"more was said than that: {said}")


def orca_presents_what_a_key_has_done():
    with orca() as said, App() as app:
        app.ask("Hello there")
        app.answer("You asked: Hello there")
        press("ctrl+m")
        app.wait_focus("list item", "^Allava: ")
        press("ctrl+c")
        wait_heard(said, "Copied")
        press("Up")
        app.wait_focus("list item", "^You: ")
        press("F2")
        wait_heard(said, "Editing a question; the old version is kept.")
        press("Escape")
        wait_heard(said, "Editing cancelled")
        app.ask("Talk slowly")
        app.find("list item", "^Allava, answering")
        write("And then?")
        press("Return")
        wait_heard(said, "The question was not sent, because an answer is being written.")


def orca_presents_why_a_folder_is_refused():
    folder = os.path.join(os.environ["HOME"], "empty")
    os.makedirs(folder)
    with orca() as said, App() as app:
        press("ctrl+d")
        app.click("^Add a Folder")
        app.choose_folder(folder)
        wait_heard(said, "empty is not a model's folder")


def orca_presents_that_an_image_is_lost():
    with App(make_image("lost.png")) as app:
        app.find(desktop.BUTTON, r"^Image lost\.png, 120 by 80")
        app.ask("What is it?")
        app.answer("I see 1 images")
    for name in ("images", "thumbnails"):
        shutil.rmtree(os.path.join(os.environ["XDG_DATA_HOME"], "allava", name))
    with orca() as said, App() as app:
        app.find("list item", "^What is it")
        press("F9")
        app.wait_focus("list item", "^What is it")
        press("Return")
        app.click(r"^Image lost\.png, which cannot be read$")
        wait_heard(said, "This Image Cannot Be Shown. ")


def orca_presents_whole_sentences_where_it_is_set_to():
    desktop.configure("announce='sentences'")
    with orca() as said, App() as app:
        app.ask("Talk slowly")
        wait_heard(said, "end.")
        press("Escape")
        wait_heard(said, "Answer stopped, ")
        expect(said[0] == "Describing…", f"it began with {said[0]!r}")
        spoken = said[1:-1]
        expect(spoken[0].startswith("word1 word2 "), f"it began with {spoken[0]!r}")
        expect(all(part.endswith(" end.") for part in spoken), f"no whole sentences: {spoken}")
        expect("word1 " not in said[-1], f"it is said twice: {said[-1]!r}")


def span(node):
    """Where it begins and ends, from the top of the window."""
    extents = node.get_component_iface().get_extents(Atspi.CoordType.WINDOW)
    return extents.y, extents.y + extents.height


def read_through(app, label, view, keys):
    """Presses the first key to the end of LABEL, then the second to its beginning."""
    for key, is_there in zip(keys, (lambda: span(label)[1] <= view[1], lambda: span(label)[0] >= view[0])):
        for _ in range(20):
            before = span(label)[0]
            press(key)
            wait(lambda: span(label)[0] != before, f"{key} to scroll")
            step = abs(span(label)[0] - before)
            expect(step < view[1] - view[0], f"{key} passes over something: {step} of {view}")
            if is_there():
                break
        expect(is_there(), f"{key} does not show all: {span(label)} in {view}")


def what_is_taller_than_the_view_is_read_by_keyboard():
    desktop.configure("text-scale=3.0")
    with App() as app:
        app.resize(500, 640)
        app.ask("What is in this picture? " * 8 + "And on the table?")
        app.answer("on the table")
        label = app.find("label", "^I see 0 images")
        view = span(app.find("scroll pane", "^Messages$"))
        expect(span(label)[1] - span(label)[0] > view[1] - view[0], "the answer is not tall enough")
        press("ctrl+m")
        app.wait_focus("list item", "^Allava: ")
        press("Home")
        wait(lambda: span(label)[0] >= view[0], "the beginning of the answer")
        read_through(app, label, view, ("Page_Down", "Page_Up"))
        read_through(app, label, view, ("space", "shift+space"))
        press("End")
        wait(lambda: span(label)[1] <= view[1], "the end of the answer")
        app.wait_focus("list item", "^Allava: ")
        press("Home")
        wait(lambda: span(label)[0] >= view[0], "the beginning of the answer")
        press("Tab")
        app.wait_focus("label", "^I see 0 images")
        read_through(app, label, view, ("Page_Down", "Page_Up"))
        press("ctrl+m")
        app.wait_focus("list item", "^Allava: ")
        press("End", "Home")
        wait(lambda: span(label)[0] >= view[0], "the beginning of the answer")
        press("Home")  # nothing is left above: the first message
        app.wait_focus("list item", "^You: ")


def what_tab_reaches_is_seen():
    desktop.configure("text-scale=2.0")
    with App() as app:
        app.resize(600, 500)
        app.ask("Some markdown, please")
        app.answer("A heading")
        view = span(app.find("scroll pane", "^Messages$"))
        press("ctrl+m")
        app.wait_focus("list item", "^Allava: ")
        texts = ("A heading", "Some soft", "Some soft", "first", "second", "inner", "quoted", "int x;")
        for text in texts:  # a text with a link is reached twice
            press("Tab")
            label = app.wait_focus("label", "^" + text)
            wait(
                lambda: span(label)[0] >= view[0] and span(label)[1] <= view[1],
                f"{text!r} to be seen: {span(label)} in {view}",
            )


def right_to_left():
    with App(env={"ALLAVA_TEST_RTL": "1"}) as app:
        app.ask("Mirrored")
        app.answer("You asked: Mirrored")

        def left(role, name):
            return app.find(role, name).get_component_iface().get_extents(Atspi.CoordType.WINDOW).x

        expect(
            left("list", "^Conversations$") > left("list", "^Messages$"),
            "the side bar is not on the right",
        )


def no_internet_sockets():
    with App() as app:
        app.ask("Anyone out there?")
        app.answer("You asked")
        fds = f"/proc/{app.process.pid}/fd"
        mine = {os.readlink(os.path.join(fds, fd)) for fd in os.listdir(fds)}
        for family in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6"):
            with open(f"/proc/{app.process.pid}/net/{family}") as table:
                for line in list(table)[1:]:
                    expect(f"socket:[{line.split()[9]}]" not in mine, f"an open {family} socket")


def without_any_network():
    """In a network namespace with nothing in it, where the kernel lets us make one."""
    alone = ["unshare", "--map-current-user", "--net"]
    if subprocess.run([*alone, "true"], capture_output=True).returncode != 0:
        raise desktop.Skip("this machine allows no namespaces")
    with App(*alone[1:], sys.argv[1], program=alone[0]) as app:
        app.ask("Alone?")
        app.answer("You asked: Alone")


def long_answer():
    """500 tokens a second into a 4,000-token answer arrive whole. The longest stall of the window's
    thread is told, not judged: it is the machine's as much as ours."""
    with App(env={"ALLAVA_TEST_BEAT": "1"}) as app:
        app.ask("bench")
        entry = app.entry()
        wait(lambda: app.look("label", "^word1 "), "the answer to begin")
        subprocess.run(["gapplication", "action", "org.allava.Allava", "reset-beat"], check=True)
        wait(lambda: "reset" in app.read(), "the clock to be reset")
        wait(lambda: entry.get_description().startswith("Answer ready, "), "the end")
        # Passed and worked milliseconds, the longest of each so far.
        passed, worked = map(float, app.read().split("reset")[1].split()[-2:])
        print(f"# longest stall: {passed} ms passed, {worked} ms worked")


if __name__ == "__main__":
    desktop.main(
        [
            by_the_keyboard_alone,
            the_tab_order_is_the_visual_order,
            undo_by_the_keyboard,
            the_side_bar_takes_the_focus_and_all_keys,
            everything_has_a_name,
            narrow,
            long_sentences_leave_the_side_bar,
            the_problem_fits_a_narrow_window_with_large_text,
            a_reader_may_ask_for_a_window_that_has_gone,
            the_shortcuts_are_listed,
            orca_presents_answers,
            orca_presents_why_a_model_does_not_load,
            orca_presents_what_is_attached,
            orca_presents_what_a_question_waits_for,
            orca_presents_what_is_found,
            orca_presents_which_conversation_is_shown,
            orca_presents_what_a_key_has_done,
            orca_presents_why_a_folder_is_refused,
            orca_presents_that_an_image_is_lost,
            orca_presents_whole_sentences_where_it_is_set_to,
            what_is_taller_than_the_view_is_read_by_keyboard,
            what_tab_reaches_is_seen,
            right_to_left,
            no_internet_sockets,
            without_any_network,
            long_answer,
        ]
    )
