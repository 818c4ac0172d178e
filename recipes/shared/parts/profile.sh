# Set for everybody who logs in.
export PAGER=cat
