"""The kinds of pictures, a module each: `pick` a scene, `draw` it, and the questions about it (`SKILLS`)."""
