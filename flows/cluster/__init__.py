"""Where the steps of a run are computed: threads of this process, or workers of a Dask cluster."""
