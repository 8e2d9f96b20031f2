// haechi
