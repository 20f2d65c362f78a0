"""Talking: asking, streaming, stopping, what can be done with messages, the queue, errors."""

import os

import desktop
from desktop import App, Atspi, expect, has_state, press, wait


def ask_and_answer():
    with App() as app:
        app.wait_focus("text", "^Your question$")
        app.ask("Hello there")
        app.answer("I see 0 images. You asked: Hello there")
        expect(app.entry_text() == "", "the entry is not empty after sending")
        app.wait_focus("text", "^Your question$")
        # The title is the question, and the side bar has it.
        app.find("list item", "^Hello there, Today$")
        app.find("label", "^Room for about 1050 more words, or 2 images$")
        entry = app.entry()
        wait(
            lambda: entry.get_description().endswith("Room for about 1050 more words, or 2 images"),
            "the room to be told with the entry",
        )
        press("ctrl+n")
        wait(lambda: entry.get_description().endswith(", or 3 images"), "the room of a new one")


def shift_enter_breaks_the_line():
    with App() as app:
        app.wait_focus("text", "^Your question$")
        desktop.write("one")
        press("shift+Return")
        desktop.write("two")
        wait(lambda: app.entry_text() == "one\ntwo", "two lines in the entry")
        press("Return")
        app.answer("You asked: one two")


def stop_with_escape_then_continue_and_regenerate():
    with App() as app:
        app.ask("Talk slowly")
        app.find(("push button", "button"), "^Stop Answering$")
        wait(lambda: app.look("label", "^word1 word2"), "the answer to begin")
        press("Escape")
        stopped = app.find("list item", "^Allava, stopped: word1 ")
        words = len(stopped.get_name().split())
        app.click("^Continue Answer$")
        app.find("list item", "^Allava, answering")
        press("Escape")
        longer = app.find("list item", "^Allava, stopped: word1 ")
        expect(len(longer.get_name().split()) >= words, "the answer got shorter")
        app.click("^Answer Again$")
        app.find("list item", "^Allava, answering")
        press("Escape")
        app.find("label", "^2 of 2$")
        app.click("^Previous Version$")
        app.find("label", "^1 of 2$")


def nothing_is_announced_per_token():
    with App() as app:
        app.ask("Talk slowly")
        row = app.find("list item", "^Allava, answering")
        name = row.get_name()
        wait(lambda: app.look("label", "^word1 (word[0-9]+ ){20}"), "twenty words")
        expect(row.get_name() == name, "the row's name changed while text streamed in")
        expect(
            app.entry().get_description() == "Describing…",
            f"the entry says {app.entry().get_description()!r}",
        )
        press("Escape")
        wait(
            lambda: app.entry().get_description().startswith("Answer stopped, "),
            "the end to be announced",
        )


def what_was_announced_is_forgotten():
    with App() as app:
        app.ask("Hello there")
        entry = app.entry()
        wait(lambda: entry.get_description().startswith("Answer ready, "), "the end to be announced")
        desktop.write("x")
        wait(lambda: "Answer" not in entry.get_description(), "it to be forgotten")
        press("BackSpace")
        app.ask("And again")
        wait(lambda: entry.get_description().startswith("Answer ready, "), "the end to be announced")
        press("ctrl+n")
        wait(lambda: "Answer" not in entry.get_description(), "it to be forgotten")


def edit_as_a_branch():
    with App() as app:
        app.ask("First version")
        app.answer("You asked: First version")
        app.click("^Edit and Ask Again$")
        wait(lambda: app.entry_text() == "First version", "the question in the entry")
        press("ctrl+a")
        app.ask("Second version")
        app.answer("You asked: Second version")
        app.gone("list item", "First version$")
        app.click("^Previous Version$")
        app.answer("You asked: First version")
        app.gone("list item", "Second version$")
        app.click("^Next Version$")
        app.answer("You asked: Second version")


def through_the_versions_by_keyboard():
    with App() as app:
        app.ask("How many?")
        app.answer("You asked: How many")
        for version in (2, 3):
            app.click("^Answer Again$")
            app.find("list item", f"^Allava, {version} of {version}: ")
        press("ctrl+m")
        app.wait_focus("list item", "^Allava, 3 of 3: ")
        press("alt+Left")
        app.wait_focus("list item", "^Allava, 2 of 3: ")
        press("alt+Left")
        app.wait_focus("list item", "^Allava, 1 of 3: ")
        press("alt+Right")
        app.wait_focus("list item", "^Allava, 2 of 3: ")


def delete_a_message_and_undo():
    with App() as app:
        app.ask("Keep me")
        app.answer("You asked: Keep me")
        app.click("^Delete$")
        app.gone("list item", "^You: Keep me")
        app.wait_focus("text", "^Your question$")
        app.click("^Undo")
        app.find("list item", "^You: Keep me")
        # A question ends the offer, long before its time.
        app.click("^Delete$")
        app.find(desktop.BUTTON, "^Undo")
        app.ask("Something else")
        app.answer("You asked: Something else")
        wait(lambda: not app.look(desktop.BUTTON, "^Undo"), "the offer to go", seconds=10)


def delete_from_the_menu():
    with App(env={"G_DEBUG": "fatal-warnings"}) as app:
        app.ask("Keep me")
        app.answer("You asked: Keep me")
        app.open_menu("^Allava: ")
        app.click("^Delete$", "menu item")
        app.gone("list item", "^Allava: ")
        app.wait_focus("text", "^Your question$")
        app.click("^Undo")
        app.answer("You asked: Keep me")


def the_last_answer_alone_can_go_on():
    with App() as app:
        app.ask("Talk slowly")
        wait(lambda: app.look("label", "^word1 word2"), "the answer to begin")
        press("Escape")
        app.find(desktop.BUTTON, "^Continue Answer$")
        app.ask("Something else")
        app.answer("You asked: Something else")
        app.gone(desktop.BUTTON, "^Continue Answer$")
        press("ctrl+m")
        app.wait_focus("list item", "^Allava: ")
        press("Up")
        app.wait_focus("list item", "^You: Something else")
        press("Delete")
        app.find(desktop.BUTTON, "^Continue Answer$")
        app.click("^Undo")
        app.answer("You asked: Something else")
        app.gone(desktop.BUTTON, "^Continue Answer$")


def markdown_is_rendered():
    with App() as app:
        app.ask("Some markdown, please")
        app.answer("A heading")
        for text in ("^A heading$", "^Some soft and strong words, code and a link", "^second$"):
            app.find("label", text)
        app.find("label", "^int x;$")
        app.find("label", "^dogs$")
        app.click("^Copy Code$")


def details_of_an_answer():
    with App() as app:
        app.ask("How fast?")
        app.answer("You asked: How fast")
        app.click("^Details$")
        app.find("label", "^Device: cpu, f32$")
        app.find("label", "The model had ended its answer$")
        press("Escape")
        app.gone("label", "^Device: ")
        press("ctrl+m")
        app.wait_focus("list item", "^Allava: ")
        press("ctrl+i")
        app.find("label", "^Device: ")


def no_details_before_there_is_an_answer():
    with App(env={"G_DEBUG": "fatal-warnings"}) as app:
        app.ask("Talk slowly")
        app.open_menu("^Allava, answering")
        details = app.find("menu item", "^Details$")
        expect(not has_state(details, Atspi.StateType.SENSITIVE), "there are details already")
        press("Escape")
        app.wait_focus("list item", "^Allava, answering")
        press("ctrl+i", "Up")
        app.wait_focus("list item", "^You: ")
        press("ctrl+i", "Down")
        app.wait_focus("list item", "^Allava, answering")


def turns_left_out_are_told():
    with App() as app:
        app.ask("Do not forget me")
        app.answer("You asked: Do not forget me The model’s memory is full: it no longer saw the 2 oldest turns")
        app.find("label", "memory is full: it no longer saw the 2 oldest turns")
        app.ask("Still there?")
        app.answer("You asked: Still there")
        expect(len(app.all("label", "memory is full")) == 1, "it is told where it was not so")


def questions_wait_for_the_model():
    folder = os.path.join(os.environ["HOME"], "slow-model")
    os.makedirs(folder, exist_ok=True)
    desktop.configure(f"model='{folder}'")
    with App() as app:
        app.find("label", "^Loading .*You can already write and send")
        app.find("progress bar")
        app.ask("Are you there?")
        app.find("label", "^Loading .*Your question is answered as soon as")
        open(os.path.join(folder, "go"), "w").close()
        app.answer("You asked: Are you there")
        app.gone("progress bar")


def a_broken_model_is_told_and_nothing_typed_is_lost():
    desktop.configure("model='/broken'")
    with App() as app:
        app.find(("alert", "notification", "label"), "^/broken/config.json is broken")
        app.find(desktop.BUTTON, "^Choose a Model")
        app.find(desktop.BUTTON, "^Try Again$")


def the_bundled_model_is_introduced():
    with App() as app:
        app.find(desktop.BUTTON, "^Model: allava-nano")
        app.find("label", "^allava-nano is a small demonstration model")
        app.click("^How to Install It")
        app.find("label", "^hf download FreedomIntelligence/ALLaVA-3B-Longer --local-dir .*allava/models")
        app.wait_focus(desktop.BUTTON, "^Close")
        press("Escape")
        app.gone("label", "^hf download")
        press("ctrl+d")
        app.find("radio button", r"^allava-nano \(")


def make_model(folder):
    """As much of one as the model menu looks at."""
    os.makedirs(folder)
    for name in ("config.json", "model.safetensors"):
        with open(os.path.join(folder, name), "w") as file:
            file.write('{"model_type": "llava_phi"}')
    return folder


def another_model_keeps_the_conversation():
    models = os.path.join(os.environ["XDG_DATA_HOME"], "allava", "models")
    make_model(os.path.join(models, "another"))
    folder = make_model(os.path.join(models, "other"))
    with App() as app:
        app.ask("Who are you?")
        app.answer("You asked: Who are you")
        press("ctrl+d")
        app.find("label", r"^Runs on: cpu, f32\. There is no graphics card\.$")
        app.wait_focus("radio button", r"^allava-nano \(")
        press("Down")
        app.wait_focus("radio button", r"^another \(")
        press("Down")
        app.wait_focus("radio button", r"^other \(")
        app.find(desktop.BUTTON, "^Model: allava-nano")  # to pass a model is not to choose it
        press("Return")
        app.find(desktop.BUTTON, "^Model: other")
        with open(os.path.join(os.environ["XDG_CONFIG_HOME"], "glib-2.0", "settings", "keyfile")) as file:
            expect(folder in file.read(), "the choice is not kept")
        app.ask("And now?")
        app.answer("You asked: And now")
        expect(len(app.messages()) == 4, f"there are {app.messages()}")


def a_model_whose_name_is_not_text_is_left_out():
    """GTK hands tooltips to screen readers, and dies of what is not UTF-8."""
    models = os.path.join(os.environ["XDG_DATA_HOME"], "allava", "models")
    make_model(os.path.join(models, os.fsdecode(b"caf\xe9")))
    make_model(os.path.join(models, "other"))
    with App() as app:
        press("ctrl+d")
        app.wait_focus("radio button", r"^allava-nano \(")
        press("Down")
        app.wait_focus("radio button", r"^other \(")
        expect(len(app.all("radio button")) == 2, "it is listed")


def the_only_model_stays_chosen():
    with App() as app:
        press("ctrl+d")
        choice = app.wait_focus("radio button", r"^allava-nano \(")
        press("space", "Tab")
        app.wait_focus(None, "^(How to Install|Add a Folder)")
        expect(desktop.has_state(choice, Atspi.StateType.CHECKED), "it is chosen no more")


def a_folder_without_a_model_is_told_once():
    folder = os.path.join(os.environ["HOME"], "empty")
    os.makedirs(folder)
    with App() as app:
        press("ctrl+d")
        app.click("^Add a Folder")
        app.choose_folder(folder)
        app.find("alert", "empty is not a model's folder")
        press("Escape")
        app.gone("alert", "empty is not a model's folder")
        press("ctrl+d")
        app.wait_focus("radio button", r"^allava-nano \(")
        expect(not app.look("alert", "empty is not a model's folder"), "it is told again")


def a_folder_with_a_model_is_added():
    folder = make_model(os.path.join(os.environ["HOME"], "elsewhere"))
    with App() as app:
        press("ctrl+d")
        app.click("^Add a Folder")
        app.choose_folder(folder)
        app.find(desktop.BUTTON, "^Model: elsewhere")


def the_preferences_are_used():
    with App() as app:
        app.ask("Small?")
        app.answer("You asked: Small")
        small = app.find("label", "^I see 0 images").get_component_iface().get_size().y
        press("ctrl+comma")
        for name in ("Models Folder", "Device", "Precision", "Threads", "Give Memory Back After",
                     "Maximum Length", "Temperature", "Top-p", "Seed"):  # fmt: skip
            app.find(None, f"^{name}$")
        app.click("^Reading$", "page tab")
        app.find(None, "^Text Size$")
        app.find(None, "^Speak Answers$")
        scale = app.find("spin button", "^Text Size")
        scale.get_value_iface().set_current_value(2)
        press("Escape")
        app.gone(None, "^Text Size$")
        wait(
            lambda: app.find("label", "^I see 0 images").get_component_iface().get_size().y > 1.5 * small,
            "the answer to grow",
        )


def a_failed_answer_says_why_in_its_row():
    with App() as app:
        app.ask("Please fail")
        app.find("list item", "^Allava, failed: .*weights are damaged")
        app.find("label", "^The model's weights are damaged")
        app.find(desktop.BUTTON, "^Answer Again$")


if __name__ == "__main__":
    desktop.main(
        [
            ask_and_answer,
            shift_enter_breaks_the_line,
            stop_with_escape_then_continue_and_regenerate,
            nothing_is_announced_per_token,
            what_was_announced_is_forgotten,
            edit_as_a_branch,
            through_the_versions_by_keyboard,
            delete_a_message_and_undo,
            delete_from_the_menu,
            the_last_answer_alone_can_go_on,
            markdown_is_rendered,
            details_of_an_answer,
            no_details_before_there_is_an_answer,
            turns_left_out_are_told,
            questions_wait_for_the_model,
            a_broken_model_is_told_and_nothing_typed_is_lost,
            the_bundled_model_is_introduced,
            another_model_keeps_the_conversation,
            a_model_whose_name_is_not_text_is_left_out,
            the_only_model_stays_chosen,
            a_folder_without_a_model_is_told_once,
            a_folder_with_a_model_is_added,
            the_preferences_are_used,
            a_failed_answer_says_why_in_its_row,
        ]
    )
