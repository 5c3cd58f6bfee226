"""Where the runs of a study are computed: processes of this machine, or a Dask cluster."""
