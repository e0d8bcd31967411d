select item, value
from marts.build_info
order by item
