module wirespan.invalid/hard

go 1.25
