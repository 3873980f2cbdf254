// An Echo server: `echo_app PORT`. `/slow/N` answers after N milliseconds.
package main

import (
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/labstack/echo"
)

func main() {
	server := echo.New()
	server.HideBanner = true
	server.GET("/slow/:millis", func(c echo.Context) error {
		millis, err := strconv.Atoi(c.Param("millis"))
		if err != nil {
			return err
		}
		time.Sleep(time.Duration(millis) * time.Millisecond)
		return c.String(http.StatusOK, "slow\n")
	})
	server.Logger.Fatal(server.Start("127.0.0.1:" + os.Args[1]))
}
