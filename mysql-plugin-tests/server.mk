# The test server and MySQL's own test runner. Included by the main Makefile; paths are relative to it.

.PHONY: mysql engines mtr mtr-upstream test-faults

mysql: ## Find a MySQL server for the tests, or unpack one under target/mysql (MYSQLD= picks one)
	@mysql-plugin-tests/get-mysql.sh

engines: ## Get etcd, OpenBao and SeaweedFS for the tests of remotes, below target/engines
	@scripts/engines.sh

test-faults: mysql engines ## Inject faults for long: hundreds of power cuts, pulled and hung volumes, kills (as root)
	@KX_LONG=1 mysql-plugin-tests/server.sh faults_
	@KX_LONG=1 mysql-plugin-tests/server.sh kill::
	@KX_LONG=1 mysql-plugin-tests/server.sh engines_

mtr: mysql build ## Run the suite keyring_external on a real server (MTR_ARGS='TEST... --record')
	@mysql-plugin-tests/mtr.sh $(MTR_ARGS)

mtr-upstream: mysql build ## Run MySQL's own suite for keyring components on ours and on Oracle's (MTR_ARGS=--big-test)
	@mysql-plugin-tests/upstream/run.sh $(MTR_ARGS)
