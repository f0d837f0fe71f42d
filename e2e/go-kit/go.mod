module apogee/e2e/kit

go 1.25
