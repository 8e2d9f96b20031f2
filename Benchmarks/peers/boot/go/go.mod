module haechi.test/boot-peer

go 1.25
