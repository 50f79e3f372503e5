"""What the screens say, as rows of text and charts for a width: pure functions, one folder a screen."""
