"""Fine-tune an encoder to find answers in passages, and ask it about a passage of its own.

python examples/answer_questions.py runs/enc
python examples/answer_questions.py runs/enc train.json dev.json runs/qa

The files are SQuAD's JSON or rows of question, context and answers. Without any, letters are made up.
"""

import random
import sys
import tempfile

import minibert as mb

PASSAGE = "Ada Lovelace wrote to Charles Babbage in 1843. Her notes were longer than the article itself."
QUESTIONS = ["Who wrote to Charles Babbage?", "When did she write?", "What was longer than the article?"]
NAMES = ("Anna", "Bob", "Clara", "David", "Emma", "Frank")


def letters(count: int, seed: int) -> list[mb.QuestionExample]:
    """Return questions about letters: who wrote one, and when."""
    draw, found = random.Random(seed), []
    for _ in range(count):
        [writer, reader], year = draw.sample(NAMES, 2), str(draw.randrange(1800, 1900))
        passage = f"{writer} wrote to {reader} in {year}."
        for question, answer in ((f"Who wrote to {reader}?", writer), (f"When did {writer} write?", year)):
            gold = mb.GoldAnswer(answer, start=passage.index(answer))
            found.append(mb.QuestionExample(question, passage, answers=(gold,)))
    return found


settings = {"train.num_train_epochs": 3, "train.learning_rate": 3e-4, "task.n_best": 3}
if not sys.argv[2:]:
    settings |= {"train.num_train_epochs": 15, "train.learning_rate": 3e-3}  # little data, short passages
with tempfile.TemporaryDirectory() as folder:
    made_up = (letters(200, seed=0), letters(20, seed=1), folder)
    encoder, (train, validation, output_dir) = sys.argv[1], sys.argv[2:5] or made_up
    model = mb.finetune(
        encoder,
        task="question_answering",
        train=train,
        validation=validation,
        output_dir=output_dir,
        settings=settings,
    )
asked = model.task.read(validation) if isinstance(validation, str) else validation
scores = model.evaluate(asked)
print(f"F1 {scores['f1']:.3f}, exact match {scores['exact_match']:.3f}")
asked = [mb.QuestionExample(question, PASSAGE) for question in QUESTIONS]
for example, answer in zip(asked, model.predict(asked), strict=True):
    print(f"{example.question}  {answer.text or '(no answer)'!r} at {answer.start}")
    for candidate in answer.candidates:
        print(f"    {candidate.probability:.2f}  {candidate.text!r}")
