"""What is read from recordings and data: spike trains, time courses, doses, f-I curves, rates."""
