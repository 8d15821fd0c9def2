"""What can be run on a trial, forward and back: by hand, a torch module, code of yours."""
