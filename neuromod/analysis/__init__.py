"""What is read from recordings and data: spike trains, time courses, dose-response, f-I curves, mean fields."""
