"""The course: exercises, quizzes, pictures, and what a class does with them."""

from ftlab.teaching import plots

# The lessons take the pictures under these names.
plots_data = plots_evaluation = plots_training = plots
