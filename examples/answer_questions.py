"""Fine-tune an encoder to find answers in passages, and ask it about a passage of its own.

python examples/answer_questions.py runs/enc train.json dev.json runs/qa

The files are SQuAD's JSON or rows of question, context and answers.
"""

import sys

import minibert as mb

PASSAGE = "Ada Lovelace wrote to Charles Babbage in 1843. Her notes were longer than the article itself."
QUESTIONS = ["Who wrote to Charles Babbage?", "When did she write?", "What was longer than the article?"]

encoder, train, validation, output_dir = sys.argv[1:5]
model = mb.finetune(
    encoder,
    task="question_answering",
    train=train,
    validation=validation,
    output_dir=output_dir,
    settings={"train.num_train_epochs": 3, "train.learning_rate": 3e-4, "task.n_best": 3},
)
scores = model.evaluate(model.task.read(validation))
print(f"F1 {scores['f1']:.3f}, exact match {scores['exact_match']:.3f}")
asked = [mb.QuestionExample(question, PASSAGE) for question in QUESTIONS]
for example, answer in zip(asked, model.predict(asked), strict=True):
    print(f"{example.question}  {answer.text or '(no answer)'!r} at {answer.start}")
    for candidate in answer.candidates:
        print(f"    {candidate.probability:.2f}  {candidate.text!r}")
