"""Where data is: the output folder and its run lock, and the Parquet parts of tables."""
