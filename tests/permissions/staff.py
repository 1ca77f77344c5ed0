"""Django admin, for the groups of staff."""

# Support's pages of each model, as mary gets them; anon is led to sign in, customers get 403. Forms are sent empty.
# `page`: of an own, a foreign and an absent row. Nothing is deleted here, and nothing changed but by a verb.
ADMIN = """
model                     list  add  add:POST  page         page:POST    history      delete
accounts_account          200   403  403       200/200/302  403          200/200/302  403
accounts_person           200   403  403       200/200/302  403          200/200/302  403
accounts_role             200   403  403       200/200/302  403          200/200/302  403
accounts_membership       200   403  403       200/200/302  403          200/200/302  403
accounts_authorizeduser   200   200  200       200/200/302  302          200/200/302  403
accounts_invitation       403   403  403       403          403          403/403/302  403
accounts_factorreset      200   403  403       200/200/404  400/400/404  200/200/302  403
accounts_activity         200   403  403       200/200/302  403          200/200/302  403
accounts_machinetoken     403   403  403       403          403          403/403/302  403
inventory_site            200   403  403       200/200/302  403          200/200/302  403
inventory_vm              200   403  403       200/200/302  403          200/200/302  403
inventory_vpngateway      200   403  403       200/200/302  403          200/200/302  403
inventory_vpnclient       200   403  403       200/200/302  403          200/200/302  403
inventory_vpnmember       200   403  403       200/200/302  403          200/200/302  403
inventory_outage          200   200  200       200/200/404  400/400/404  302          403
replication_servicelevel  200   403  403       200/200/302  403          200/200/302  403
replication_order         200   403  403       200/200/404  400/400/404  200/200/302  403
replication_replication   200   403  403       200/200/302  403          200/200/302  403
failover_ticket           200   403  403       200/200/404  400/400/404  302          403
notices_conversation      200   200  200       200/200/404  400/400/404  302          403
notices_notice            200   403  403       200/200/302  403          200/200/302  403
"""

# The other two groups of staff, where they get other answers than mary, or might be thought to.
OTHER_STAFF = """
group         model                   list  add  add:POST  page         page:POST    history      delete
Support_lead  accounts_account        200   200  200       200/200/302  403          200/200/302  403
Support_lead  accounts_person         200   200  200       200/200/302  403          200/200/302  403
Support_lead  accounts_membership     200   200  200       200/200/302  200/200/302  200/200/302  403
Support_lead  accounts_invitation     200   403  403       200/200/302  403          200/200/302  403
Support_lead  accounts_factorreset    200   200  200       200/200/404  400/400/404  200/200/302  403
Support_lead  accounts_machinetoken   403   403  403       403          403          403/403/302  403
Support_lead  inventory_site          200   403  403       200/200/302  200/200/302  200/200/302  403
Support_lead  inventory_vpngateway    200   200  200       200/200/302  200/200/302  200/200/302  403
Support_lead  inventory_vpnclient     200   200  200       200/200/302  200/200/302  200/200/302  403
Support_lead  inventory_vpnmember     200   403  403       200/200/302  403          200/200/302  403
Support_lead  replication_servicelevel 200 200 200      200/200/302  200/200/302  200/200/302  403
Support_lead  failover_ticket         200   403  403       200/200/404  400/400/404  302          403
Operator      accounts_account        200   403  403       200/200/302  403          200/200/302  403
Operator      accounts_person         403   403  403       403          403          403/403/302  403
Operator      accounts_authorizeduser 403   403  403       403          403          403/403/302  403
Operator      accounts_factorreset    403   403  403       403          403          403/403/302  403
Operator      accounts_machinetoken   200   200  200       200/200/302  403          200/200/302  403
Operator      inventory_site          200   200  200       200/200/302  200/200/302  200/200/302  403
Operator      inventory_vpngateway    200   200  200       200/200/302  200/200/302  200/200/302  403
Operator      inventory_vpnclient     200   200  200       200/200/302  200/200/302  200/200/302  403
Operator      inventory_vpnmember     403   403  403       403          403          403/403/302  403
Operator      inventory_outage        403   403  403       403          403          403          403
Operator      replication_servicelevel 403 403 403      403          403          403/403/302  403
Operator      failover_ticket         403   403  403       403          403          403          403
Operator      notices_conversation    403   403  403       403          403          403          403
"""
