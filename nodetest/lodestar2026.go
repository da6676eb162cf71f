package nodetest

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
)

// Lodestar2026 starts a real Lodestar 1.44, of Electra and Fulu, on a network that `blockprint lab genesis` has written into a
// folder. execution is the URL of its Engine API. The node has no peers and no validators. It returns the node's URL.
func Lodestar2026(t *testing.T, network, execution string) string {
	t.Helper()
	dir := filepath.Join(projectRoot(t), ".nodes", "lodestar-1.44")
	oneAtATime(t, func() {
		install := exec.Command("bash", filepath.Join(projectRoot(t), "nodetest", "lodestar2026", "install.sh"), dir)
		if out, err := install.CombinedOutput(); err != nil {
			Missing(t, "Lodestar 1.44 could not be installed: %v\n%s", err, tail(out))
		}
	})
	port := freePort(t)
	cmd := exec.Command("node", "--require", filepath.Join(dir, "polyfill.cjs"), "--import", filepath.Join(dir, "register.mjs"), filepath.Join(dir, "node.mjs"),
		"--network="+network, "--port="+strconv.Itoa(port), "--execution="+execution)
	cmd.Dir = t.TempDir()
	keepRunning(t, cmd)
	return fmt.Sprintf("http://127.0.0.1:%d", port)
}
