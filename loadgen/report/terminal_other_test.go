//go:build !unix

package report

import (
	"errors"
	"os"
)

func setWidth(*os.File, uint16) error { return errors.ErrUnsupported }
