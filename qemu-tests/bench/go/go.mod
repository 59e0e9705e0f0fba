module stackgate.example/bench

go 1.19
