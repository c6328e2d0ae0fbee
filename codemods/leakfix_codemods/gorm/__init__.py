"""gorm for Go: Rows, Row and Begin hand out what its other methods close by themselves."""
