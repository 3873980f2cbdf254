module wirespan.invalid/ruler

go 1.25
