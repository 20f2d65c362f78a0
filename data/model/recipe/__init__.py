"""Recipe of the default model: pictures drawn by program, a tokenizer, two-stage training, evaluation."""
