"""How much training a student gets: its own figures, else its kind's, else the recipe's."""

from __future__ import annotations

from dataclasses import dataclass

from build_tools.recipe_training import StudentSpec, TrainingSpec

STATIC_BATCH_SIZE = 256
STATIC_LEARNING_RATE = 2e-3


@dataclass(frozen=True, slots=True)
class Budget:
    """Optimizer steps (0 trains nothing), texts in a step, and peak learning rate of one student."""

    steps: int
    batch_size: int
    learning_rate: float


def resolve(student: StudentSpec, training: TrainingSpec) -> Budget:
    """The budget of `student`.

    A static encoder has defaults of its own: its steps cost little, and a row of its table is in few
    batches.
    """
    static = student.kind == "static"
    batch_size = STATIC_BATCH_SIZE if static else training.batch_size
    learning_rate = STATIC_LEARNING_RATE if static else training.learning_rate
    return Budget(
        steps=training.steps if student.steps is None else student.steps,
        batch_size=batch_size if student.batch_size is None else student.batch_size,
        learning_rate=learning_rate if student.learning_rate is None else student.learning_rate,
    )
