module haechi.invalid/peers

go 1.25
