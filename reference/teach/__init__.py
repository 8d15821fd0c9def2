"""What is read and tried by learners: the worked example as a page, exercises, the book."""
