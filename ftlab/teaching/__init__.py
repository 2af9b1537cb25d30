"""The course: exercises, quizzes, pictures, and what a class does with them."""
